package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Inequality.Relation;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitsBench;
import org.outrigger.claims.setup.DigitsBench.Recipe;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.evaluate.stream.TestStream;

/** EATA learns from fewer rows, does not collapse on a long hard stream, and does not forget. */
public final class EataOnHardDigits implements Claim {
  private static final String OVER_BN = "accuracy gain ETA over BN-1";
  private static final String OVER_TENT = "accuracy gain ETA over TENT";
  private static final String BACKWARD = "share of rows back-propagated ETA";
  private static final String LEASH = "clean accuracy gain of the leash, beta 1e6";
  private static final String UNLEASHED = "no filters, beta 0";
  private static final String FILTERS = "E0=0.4:eps=0.4:optimiser=adam:lr=0.02";
  private static final String NO_FILTERS = "E0=1.5:eps=2:optimiser=adam:lr=0.005";

  @Override
  public String slug() {
    return "eata";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "EATA adapts on fewer rows, without collapse, and keeps what it knew";
  }

  @Override
  public String promise() {
    return "Entropy minimisation on reliable and non-redundant samples adapts better and with fewer"
        + " backward passes than on all of them, and a Fisher regulariser prevents forgetting.";
  }

  @Override
  public String paper() {
    return "Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality(OVER_BN, Relation.GREATER, 0.03, null),
        new Inequality(OVER_TENT, Relation.GREATER, 0.2, null),
        Inequality.below(BACKWARD, 0.75),
        new Inequality(LEASH, Relation.GREATER, 0.2, null));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "BN-1: batch statistics without learning",
        "TENT: the same optimiser on all rows",
        "EATA without filters and without leash");
  }

  @Override
  public String protocol() {
    return "Digits at 16x16 pixels under gauss, impulse, stripe and contrast of the hard kind, one"
        + " after the other, 4 rounds without a new start, batches of 64, Adam 2e-2; E0 = 0.4 ln"
        + " 10, eps = 0.4, Fisher diagonal of the training images. Clean accuracy is that of the"
        + " test images afterwards, on batch statistics. The leash by itself: both filters off (E0"
        + " = 1.5 ln 10, eps = 2), Adam 5e-3, 3 rounds; beta is large because the Fisher diagonal"
        + " of a confident small network is about 1e-5.";
  }

  @Override
  public String tried() {
    return "Without filters and leash the clean accuracy falls to 0.83, 0.92 and 0.27 on seeds 0 to 2"
        + " (0.57 in the pilot that the margin of 0.2 comes from). A beta of 1e6 keeps 0.99, 0.99 and"
        + " 0.90, so the margin holds in the mean, through seed 2, and not on each seed.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (DigitsBench bench = DigitsBench.open(seed, scale);
        NeuralModel model = bench.source(Recipe.defaults())) {
      Map<String, Double> figures = new LinkedHashMap<>();
      List<Shift> shifts = scale == Scale.FULL ? bench.hard() : bench.hard("stripe");
      TestStream stream = AdapterRun.continual(bench.test(), shifts, scale.pick(4, 1), seed);
      Map<String, String> stacks = new LinkedHashMap<>();
      stacks.put("BN-1", "bn-adapt");
      stacks.put("TENT", "tent:optimiser=adam:lr=0.02");
      stacks.put("ETA", "eata:beta=0:" + FILTERS);
      stacks.put("EATA beta 1", "eata:beta=1:" + FILTERS);
      stacks.put("EATA beta 2000", "eata:beta=2000:" + FILTERS);
      stacks.forEach((name, stack) -> measure(name, stack, bench, model, stream, figures));
      TestStream shorter = AdapterRun.continual(bench.test(), shifts, scale.pick(3, 1), seed);
      for (String beta : List.of("0", "1e5", "1e6", "1e7")) {
        measure(
            "no filters, beta " + beta,
            "eata:beta=" + beta + ":" + NO_FILTERS,
            bench,
            model,
            shorter,
            figures);
      }
      figures.put(OVER_BN, apart(figures, "accuracy ", "ETA", "BN-1"));
      figures.put(OVER_TENT, apart(figures, "accuracy ", "ETA", "TENT"));
      figures.put(LEASH, apart(figures, "clean accuracy ", "no filters, beta 1e6", UNLEASHED));
      return figures;
    }
  }

  private static void measure(
      String name,
      String stack,
      DigitsBench bench,
      NeuralModel model,
      TestStream stream,
      Map<String, Double> figures) {
    AdapterRun run =
        AdapterRun.of(stack, model, bench.train(), stream, bench.test(), (batch, output) -> {});
    figures.put("accuracy " + name, run.report().accuracy());
    figures.put("accuracy in the last round " + name, run.report().lastAccuracy());
    figures.put("clean accuracy " + name, run.clean());
    figures.put("share of rows back-propagated " + name, run.backwardShare());
  }

  private static double apart(
      Map<String, Double> figures, String figure, String better, String worse) {
    return Objects.requireNonNull(figures.get(figure + better))
        - Objects.requireNonNull(figures.get(figure + worse));
  }
}
