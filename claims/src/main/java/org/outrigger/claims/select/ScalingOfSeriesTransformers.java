package org.outrigger.claims.select;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.datasets.SyntheticSeries;
import org.outrigger.select.scaling.EvaluationSet;
import org.outrigger.select.scaling.ModelSize;
import org.outrigger.select.scaling.PowerLaw;
import org.outrigger.select.scaling.RunTable;
import org.outrigger.select.scaling.ScalingRun;
import org.outrigger.select.scaling.ScalingSweep;
import org.outrigger.select.scaling.SeriesSource;
import org.outrigger.select.scaling.SweepSettings;

/** Loss falls with the number of parameters as a power law, less so out of distribution. */
public final class ScalingOfSeriesTransformers implements Claim {
  private static final String LADDER = "8x1x1,16x2x1,32x2x2,64x3x4";

  @Override
  public String slug() {
    return "tsfm-scaling";
  }

  @Override
  public Room room() {
    return Room.SELECT;
  }

  @Override
  public String title() {
    return "Larger time-series transformers forecast better by a power law";
  }

  @Override
  public String promise() {
    return "The negative log-likelihood of encoder-only and decoder-only time-series transformers"
        + " falls with their parameters as a power law; out of distribution the exponent is"
        + " smaller; the law of the smaller models foretells the largest one.";
  }

  @Override
  public String paper() {
    return "Yao et al., Towards Neural Scaling Laws for Time Series Foundation Models, ICLR 2025";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality("encoder alpha ID", Inequality.Relation.GREATER, 0, null),
        new Inequality("encoder R2 ID", Inequality.Relation.GREATER, 0.8, null),
        Inequality.below("encoder alpha OOD", 1, "encoder alpha ID"),
        Inequality.below("encoder extrapolation error", 0.15),
        new Inequality("decoder alpha ID", Inequality.Relation.GREATER, 0, null),
        new Inequality("decoder R2 ID", Inequality.Relation.GREATER, 0.8, null),
        Inequality.below("decoder alpha OOD", 1, "decoder alpha ID"),
        Inequality.below("decoder extrapolation error", 0.15));
  }

  @Override
  public List<String> baselines() {
    return List.of("the same networks on a harder kind of series that training never shows (OOD)");
  }

  @Override
  public String protocol() {
    return "Series are a (sine + sine + trend + noise): periods 6 to 18 and noise 0.1 in training;"
        + " periods 18 to 28, a steeper trend and noise 0.15 out of distribution. Patches of"
        + " 8 points, 8 given and 2 predicted, a mixture of 3 Student-t. Encoders and"
        + " decoders of 872 to 151,072 parameters (width x layers x heads 8x1x1, 16x2x1,"
        + " 32x2x2, 64x3x4) see 64 fresh series in each of 300 steps (AdamW 2e-3, warm-up"
        + " 30, cosine). The loss of a run is the least of 10 records on 512 held-out"
        + " series; a decoder's sees the true previous patch. The extrapolation error is"
        + " that of the largest model's loss, as the law of the other three foretells it,"
        + " relative to the measured one.";
  }

  @Override
  public String tried() {
    return "With one head for every size (151,360 parameters in the largest model) the encoder's R2"
        + " was 0.870, 0.844 and 0.642 for seeds 0, 1 and 2, 0.785 on average, so that part did not"
        + " hold; all others did: alpha 0.036 (ID) and 0.003 (OOD), extrapolation error 0.126 for"
        + " encoders; 0.080, 0.004, R2 0.970 and 0.092 for decoders. The heads now are those that"
        + " give the largest model of the protocol its 151,072 parameters. With them seeds 0, 1, 2"
        + " held in all parts, R2 of the encoder 0.801; seeds 3, 4 and 5, which took no part in that"
        + " choice and are the ones to judge by, do not: there R2 of the encoder is 0.704, and the"
        + " extrapolation errors are 0.184 and 0.181. The exponents' signs and order hold in each of"
        + " the three means. The losses of the three smaller encoders differ little: 300 updates do"
        + " not train them out on these series.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    SweepSettings settings =
        scale == Scale.FULL
            ? SweepSettings.small().withEvaluation(512, 0)
            : SweepSettings.small().withTraining(4, 1, 4, 2).withEvaluation(8, 0);
    int fresh = settings.steps() * settings.batch() * settings.tokens() * settings.patch();
    List<ScalingRun.Plan> plans =
        ScalingSweep.grid(
            ModelSize.parse(LADDER), List.of(new Fresh(fresh)), true, true, List.of(seed));
    List<EvaluationSet> sets =
        List.of(
            held("id", SyntheticSeries.KNOWN, settings, seed),
            held("ood", SyntheticSeries.SHIFTED, settings, seed));
    RunTable runs = new ScalingSweep(plans, settings, sets, null, 1).run((run, plan, steps) -> {});
    Map<String, Double> figures = new LinkedHashMap<>();
    for (String architecture : List.of("encoder", "decoder")) {
      double[] x = new double[4];
      double[] known = losses(runs, architecture, "id", x);
      double[] shifted = losses(runs, architecture, "ood", x);
      PowerLaw law = PowerLaw.fit(x, known);
      PowerLaw other = PowerLaw.fit(x, shifted);
      PowerLaw smaller = PowerLaw.fit(Arrays.copyOf(x, 3), Arrays.copyOf(known, 3));
      figures.put(architecture + " alpha ID", law.alpha());
      figures.put(architecture + " R2 ID", law.r2());
      figures.put(architecture + " alpha OOD", other.alpha());
      figures.put(
          architecture + " extrapolation error", Math.abs(smaller.at(x[3]) - known[3]) / known[3]);
      for (int i = 0; i < x.length; i++) {
        String size = architecture + " " + (long) x[i];
        figures.put(size + " NLL ID", known[i]);
        figures.put(size + " NLL OOD", shifted[i]);
      }
    }
    return figures;
  }

  /** The least loss of each run, smallest network first; fills in the sizes. */
  private static double[] losses(RunTable runs, String architecture, String set, double[] sizes) {
    Map<Double, Double> least = new java.util.TreeMap<>();
    for (RunTable.Row row : runs.rows()) {
      if (row.architecture().equals(architecture) && row.dataset().equals(set)) {
        least.merge(row.parameters(), row.value(), Math::min);
      }
    }
    int i = 0;
    for (double size : least.keySet()) {
      sizes[i++] = size;
    }
    return least.values().stream().mapToDouble(Double::doubleValue).toArray();
  }

  private static EvaluationSet held(
      String name, SyntheticSeries kind, SweepSettings settings, long seed) {
    int points = (settings.context() + settings.horizon()) * settings.patch();
    return EvaluationSet.of(
        name,
        kind.series(settings.evaluations(), points, Rng.derive(seed, "held out " + name)),
        settings);
  }

  /** A new series for each window. */
  private record Fresh(double points) implements SeriesSource {
    @Override
    public float[] draw(int patch, int least, int most, SplittableRandom random) {
      return SyntheticSeries.KNOWN.draw(most * patch, random);
    }
  }
}
