package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.DoubleStream;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.OpenSetTta;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.claims.setup.DigitsBench.Recipe;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.stream.StreamBatch;
import org.outrigger.evaluate.stream.TestStream;

/** Open-set TTA keeps known classes right and unknown ones apart on streams that hold both. */
public final class OpenSetTtaOnDigits implements Claim {
  private static final String MILD = " MILD";
  private static final String HARD = " HARD";
  private static final String ACCURACY = "accuracy gain open-set TTA 0.5 over TENT HARD";
  private static final String AUROC = "AUROC gain open-set TTA 0.5 over TENT MILD";
  private static final String MASK = "AUROC gain open-set TTA 0.2 over TENT + diversity 0.2 MILD";
  private static final String KEPT = "share kept, ";

  @Override
  public String slug() {
    return "open-set-tta";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "Open-set TTA is not steered by wrong rows and unknown classes";
  }

  @Override
  public String promise() {
    return "Leaving out samples whose confidence fell since the source model keeps entropy"
        + " minimisation stable on long streams that hold unknown classes.";
  }

  @Override
  public String paper() {
    return "Lee et al., Towards Open-Set Test-Time Adaptation Utilizing the Wisdom of Crowds in"
        + " Entropy Minimization, ICCV 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality(ACCURACY, Relation.GREATER, 0.2, null),
        new Inequality(AUROC, Relation.GREATER, 0.1, null),
        new Inequality(MASK, Relation.GREATER, 0.03, null),
        Inequality.above(KEPT + "correct" + MILD, KEPT + "wrong" + MILD),
        Inequality.above(KEPT + "correct" + MILD, KEPT + "unknown" + MILD),
        Inequality.above(KEPT + "correct" + HARD, KEPT + "wrong" + HARD),
        Inequality.above(KEPT + "correct" + HARD, KEPT + "unknown" + HARD));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the source model and BN-1",
        "TENT with the same optimiser",
        "TENT with the same diversity term, without the choice of rows");
  }

  @Override
  public String protocol() {
    return "Digits at 16x16 pixels; the network knows 0 to 6, the stream holds all ten. MILD:"
        + " gauss, contrast, brightness, fog, impulse; HARD: gauss, impulse, stripe, contrast; one"
        + " after the other, 4 rounds without a new start, batches of 64, Adam 5e-3. Figures of the"
        + " last round: accuracy on known rows, and AUROC of the largest probability, known against"
        + " unknown. The shares of rows that the choice would keep are those of a TENT run with"
        + " Adam 2e-3 over the same stream.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Recipe recipe = Recipe.defaults().withClasses(0, 1, 2, 3, 4, 5, 6);
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel model = bench.source(recipe)) {
      Map<String, Double> figures = new LinkedHashMap<>();
      boolean full = scale == Scale.FULL;
      strength(
          MILD,
          full
              ? bench.mild("gauss", "contrast", "brightness", "fog", "impulse")
              : bench.mild("fog"),
          bench,
          recipe,
          model,
          scale,
          seed,
          figures);
      List<Shift> hard = full ? bench.hard() : bench.hard("stripe");
      strength(HARD, hard, bench, recipe, model, scale, seed, figures);
      figures.put(ACCURACY, gain(figures, "accuracy ", "open-set TTA 0.5", "TENT", HARD));
      figures.put(AUROC, gain(figures, "AUROC ", "open-set TTA 0.5", "TENT", MILD));
      figures.put(MASK, gain(figures, "AUROC ", "open-set TTA 0.2", "TENT + diversity 0.2", MILD));
      return figures;
    }
  }

  private static double gain(
      Map<String, Double> figures, String figure, String better, String worse, String strength) {
    return Objects.requireNonNull(figures.get(figure + better + strength))
        - Objects.requireNonNull(figures.get(figure + worse + strength));
  }

  private static void strength(
      String strength,
      List<Shift> shifts,
      DigitsBench bench,
      Recipe recipe,
      NeuralModel model,
      Scale scale,
      long seed,
      Map<String, Double> figures) {
    int rounds = scale.pick(4, 1);
    TestStream stream = AdapterRun.continual(bench.test(recipe), shifts, rounds, seed);
    String tent = "tent:optimiser=adam:lr=0.005";
    Map<String, String> stacks = new LinkedHashMap<>();
    stacks.put("source", "source");
    stacks.put("BN-1", "bn-adapt");
    stacks.put("TENT", tent);
    for (String lambda : List.of("0.2", "0.5")) {
      // A margin of -1 keeps every row.
      stacks.put(
          "TENT + diversity " + lambda, "open-set-tta:margin=-1:lambda=" + lambda + "/" + tent);
      stacks.put("open-set TTA " + lambda, "open-set-tta:lambda=" + lambda + "/" + tent);
    }
    stacks.put("open-set TTA 0", "open-set-tta:lambda=0/" + tent);
    stacks.forEach(
        (name, stack) -> {
          Confidence confidence = new Confidence(rounds - 1);
          AdapterRun run =
              AdapterRun.of(stack, model, bench.train(recipe), stream, null, confidence::see);
          figures.put("accuracy " + name + strength, run.report().lastAccuracy());
          figures.put("AUROC " + name + strength, confidence.auroc());
        });
    Kept kept = new Kept(model, OpenSetTta.Settings.defaults().margin());
    AdapterRun.of(
        "tent:optimiser=adam:lr=0.002", model, bench.train(recipe), stream, null, kept::see);
    kept.put(strength, figures);
  }

  /** The largest probabilities of a round, of known and of unknown rows. */
  private static final class Confidence {
    private final int round;
    private final DoubleStream.Builder known = DoubleStream.builder();
    private final DoubleStream.Builder unknown = DoubleStream.builder();

    Confidence(int round) {
      this.round = round;
    }

    void see(StreamBatch batch, Output output) {
      if (batch.round() != round) {
        return;
      }
      double[] largest =
          Tensors.doubles(
              Scopes.tensor(() -> torch.softmax(output.logits(), 1).amax(new long[] {1}, false)));
      int[] labels = Tensors.ints(Objects.requireNonNull(batch.labels()));
      for (int i = 0; i < labels.length; i++) {
        (labels[i] < 0 ? unknown : known).add(-largest[i]);
      }
    }

    double auroc() {
      return Auroc.of(known.build().toArray(), unknown.build().toArray());
    }
  }

  /** Which share of right, wrong and unknown rows the choice would keep. */
  private static final class Kept {
    private final NeuralModel source;
    private final double margin;
    private final double[] kept = new double[3];
    private final double[] rows = new double[3];

    Kept(NeuralModel source, double margin) {
      this.source = source;
      this.margin = margin;
    }

    void see(StreamBatch batch, Output output) {
      Scopes.run(
          () -> {
            Tensor before = source.forwardOnBatchStatistics(batch.inputs()).logits();
            Tensor mask = OpenSetTta.keep(before, output.logits(), margin);
            Tensor labels = Objects.requireNonNull(batch.labels());
            Tensor right = output.logits().argmax(new LongOptional(1), false).eq(labels);
            Tensor known = labels.ge(Tensors.number(0));
            count(0, right, mask);
            count(1, known.logical_and(right.logical_not()), mask);
            count(2, known.logical_not(), mask);
          });
    }

    private void count(int kind, Tensor which, Tensor mask) {
      rows[kind] += which.sum().item_double();
      kept[kind] += which.logical_and(mask).sum().item_double();
    }

    void put(String strength, Map<String, Double> figures) {
      List<String> kinds = List.of("correct", "wrong", "unknown");
      for (int i = 0; i < kinds.size(); i++) {
        figures.put(KEPT + kinds.get(i) + strength, kept[i] / rows[i]);
      }
    }
  }
}
