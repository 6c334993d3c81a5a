package org.outrigger.guard;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.Bbse;
import org.outrigger.stream.ChiSquaredTest;
import org.outrigger.stream.DriftTest;
import org.outrigger.stream.DriftTestResult;
import org.outrigger.stream.KolmogorovSmirnov;
import org.outrigger.stream.Wasserstein;

/** The tests of one window against the reference, channel by channel. */
final class WindowTests implements AutoCloseable {
  private static final int MOST_CATEGORIES = 10;
  private static final double LEAST_EXPECTED = 5;

  /**
   * What a channel came to, before thresholds.
   *
   * @param pValue NaN where the method decides by itself
   * @param beyond its decision then
   */
  record Outcome(
      String channel,
      String method,
      double statistic,
      double pValue,
      boolean beyond,
      double effect,
      double before,
      double after,
      List<Change.Feature> features,
      String message) {}

  private final GuardReference reference;
  private final GuardInfo info;
  private final int most;
  private final int[] measured;
  private final int[] counted;
  private final double[][] knownCounted;
  private final double[] sortedScores;
  private final double[] sortedConfidence;
  private final @Nullable DriftTest inputTest;
  private final @Nullable Bbse mix;

  WindowTests(Guard guard, MonitorSettings settings) {
    reference = guard.requireReference();
    info = guard.info();
    most = settings.features();
    sortedScores = sorted(reference.scores());
    sortedConfidence = sorted(reference.confidence());
    try (PointerScope scope = new PointerScope()) {
      Tensor known = reference.tensor();
      double[][] all = Tensors.rows(known.t());
      counted = IntStream.range(0, all.length).filter(f -> discrete(all[f])).toArray();
      measured = IntStream.range(0, all.length).filter(f -> !discrete(all[f])).toArray();
      knownCounted = Arrays.stream(counted).mapToObj(f -> all[f]).toArray(double[][]::new);
      DriftTest test = Methods.parseOne(DriftTest.class, settings.inputTest());
      if (measured.length == 0 || !settings.channels().contains("inputs")) {
        test.close();
        inputTest = null;
      } else {
        test.fit(columns(known, measured));
        inputTest = test;
      }
      mix = mix();
    }
  }

  /** Whether a column has few values, as switches and categories have. */
  private static boolean discrete(double[] column) {
    return ChiSquaredTest.table(column, column)[0].length <= MOST_CATEGORIES;
  }

  private @Nullable Bbse mix() {
    int[] labels = reference.labels();
    int classes = info.classNames().size();
    if (labels == null || Arrays.stream(labels).distinct().count() < classes) {
      return null;
    }
    Bbse bbse = new Bbse();
    Tensor votes = votes(reference.predicted());
    bbse.fit(votes, Tensors.labels(labels));
    // Predictions that do not tell classes apart estimate nothing.
    return bbse.estimate(votes).regularised() ? null : bbse;
  }

  /** Predicted labels as probabilities, [n, C]. */
  private Tensor votes(int[] predicted) {
    return torch.one_hot(Tensors.labels(predicted), info.classNames().size()).to(ScalarType.Double);
  }

  private static Tensor columns(Tensor rows, int[] which) {
    return rows.index_select(
        1, Tensors.of(Arrays.stream(which).asLongStream().toArray(), which.length));
  }

  /** The effect of each watched feature. */
  double[] effects(Tensor window) {
    return Scopes.scoped(
        () -> {
          Tensor known = reference.tensor();
          Tensor distance = Wasserstein.distance(known, window);
          Tensor spread = known.std(new long[] {0}, true, false);
          Tensor pooled =
              torch.cat(new TensorVector(known, window), 0).std(new long[] {0}, true, false);
          // A feature that was constant has no unit but the one that it has by now.
          Tensor unit = torch.where(spread.gt(new Scalar(0.0)), spread, pooled);
          Tensor up = window.mean(new long[] {0}).sub(known.mean(new long[] {0}));
          Tensor sign =
              torch.where(up.lt(new Scalar(0.0)), torch.ones_like(up).neg(), torch.ones_like(up));
          return Tensors.doubles(distance.div(unit.clamp_min(new Scalar(1e-300))).mul(sign));
        });
  }

  /** Tests the watched values, float64 [m, F]. */
  Outcome inputs(Tensor window, double[] effects) {
    double[] p = new double[effects.length];
    Arrays.fill(p, Double.NaN);
    boolean[] drift = new boolean[effects.length];
    double statistic = 0;
    double whole = Double.NaN;
    boolean byItself = false;
    String method = "chi-squared-test";
    try (PointerScope scope = new PointerScope()) {
      if (inputTest != null) {
        method = inputTest.card().slug();
        DriftTestResult result = inputTest.test(columns(window, measured));
        statistic = result.statistic();
        whole = result.pValue();
        byItself = Double.isNaN(whole) && result.drift();
        for (int i = 0; i < result.features().length; i++) {
          p[measured[i]] = result.features()[i].pValue();
          drift[measured[i]] = Double.isNaN(p[measured[i]]) && result.features()[i].drift();
          whole = Double.NaN;
        }
      }
      if (counted.length > 0) {
        double[][] now = Tensors.rows(columns(window, counted).t());
        for (int i = 0; i < counted.length; i++) {
          p[counted[i]] = counts(knownCounted[i], now[i]).pValue();
        }
      }
    }
    double least = Arrays.stream(p).filter(v -> !Double.isNaN(v)).min().orElse(Double.NaN);
    long tested = Arrays.stream(p).filter(v -> !Double.isNaN(v)).count();
    double pValue = Math.min(1, tested * least);
    if (!Double.isNaN(whole)) {
      pValue = tested == 0 ? Math.min(1, whole) : Math.min(1, 2 * Math.min(pValue, whole));
    }
    List<Change.Feature> changed = changed(window, effects, p, drift, tested);
    Change.Feature top = changed.isEmpty() ? null : changed.get(0);
    return new Outcome(
        "inputs",
        method,
        statistic,
        byItself ? Double.NaN : pValue,
        byItself,
        top == null ? 0 : top.effect(),
        Double.NaN,
        Double.NaN,
        changed,
        sentence(window, top, changed.size()));
  }

  /** The features that differ significantly, or else the one that comes closest. */
  private List<Change.Feature> changed(
      Tensor window, double[] effects, double[] p, boolean[] drift, long tested) {
    double least = Arrays.stream(p).filter(v -> !Double.isNaN(v)).min().orElse(Double.NaN);
    double level = Math.max(least, 0.01 / Math.max(1, tested));
    double[] before = means(reference.tensor());
    double[] after = means(window);
    return IntStream.range(0, effects.length)
        .filter(f -> tested == 0 ? drift[f] || !anyOf(drift) : p[f] <= level || drift[f])
        .mapToObj(
            f -> new Change.Feature(reference.features().get(f), before[f], after[f], effects[f]))
        .sorted(Comparator.comparingDouble(f -> -Math.abs(f.effect())))
        .limit(most)
        .toList();
  }

  private static boolean anyOf(boolean[] all) {
    for (boolean each : all) {
      if (each) {
        return true;
      }
    }
    return false;
  }

  private static double[] means(Tensor rows) {
    return Scopes.scoped(() -> Tensors.doubles(rows.mean(new long[] {0})));
  }

  private String sentence(Tensor window, Change.@Nullable Feature top, int count) {
    if (top == null) {
      return "The inputs differ from the reference.";
    }
    int f = reference.features().indexOf(top.name());
    double[] spreads =
        Scopes.scoped(
            () ->
                new double[] {
                  reference.tensor().select(1, f).std(true).item_double(),
                  window.select(1, f).std(true).item_double()
                });
    String rest = count > 1 ? "; " + (count - 1) + " more changed" : "";
    if (spreads[0] > 0 && spreads[1] < 1e-9 * spreads[0]) {
      return String.format(Locale.ROOT, "%s is constant at %.4g%s.", top.name(), top.after(), rest);
    }
    double shift = (top.after() - top.before()) / (spreads[0] > 0 ? spreads[0] : spreads[1]);
    if (Math.abs(shift) >= 0.5 * Math.abs(top.effect())) {
      return String.format(
          Locale.ROOT,
          "%s is %.1f standard deviations %s the reference (mean %.4g instead of %.4g)%s.",
          top.name(),
          Math.abs(shift),
          shift < 0 ? "below" : "above",
          top.after(),
          top.before(),
          rest);
    }
    return String.format(
        Locale.ROOT,
        "%s is distributed otherwise than in the reference (standard deviation %.4g instead of"
            + " %.4g)%s.",
        top.name(),
        spreads[1],
        spreads[0],
        rest);
  }

  /** The chi-squared test of two samples of categories, rare ones joined. */
  private static ChiSquaredTest.Outcome counts(double[] known, double[] now) {
    double[][] table = ChiSquaredTest.table(known, now);
    double[][] expected = ChiSquaredTest.expected(table);
    boolean[] rare = new boolean[table[0].length];
    int usual = 0;
    for (int k = 0; k < rare.length; k++) {
      rare[k] = Math.min(expected[0][k], expected[1][k]) < LEAST_EXPECTED;
      usual += rare[k] ? 0 : 1;
    }
    if (rare.length - usual < 2) {
      return ChiSquaredTest.outcome(table);
    }
    double[][] joined = new double[2][usual + 1];
    int at = 0;
    for (int k = 0; k < rare.length; k++) {
      int to = rare[k] ? usual : at++;
      joined[0][to] += table[0][k];
      joined[1][to] += table[1][k];
    }
    return ChiSquaredTest.outcome(joined);
  }

  /** Tests a number that every row has. */
  @Nullable Outcome values(String channel, String what, double[] now) {
    double[] finite = Arrays.stream(now).filter(Double::isFinite).sorted().toArray();
    double[] known = channel.equals("scores") ? sortedScores : sortedConfidence;
    if (finite.length < 2 || known.length < 2) {
      return null;
    }
    double distance = KolmogorovSmirnov.distance(known, finite, KolmogorovSmirnov.Side.TWO_SIDED);
    double before = Arrays.stream(known).average().orElseThrow();
    double after = Arrays.stream(finite).average().orElseThrow();
    double effect =
        Scopes.scoped(
            () ->
                Wasserstein.standardised(
                        Tensors.of(known, known.length, 1), Tensors.of(finite, finite.length, 1))
                    .item_double());
    return new Outcome(
        channel,
        "ks-test",
        distance,
        KolmogorovSmirnov.pValue(
            distance, known.length, finite.length, KolmogorovSmirnov.Side.TWO_SIDED),
        false,
        after < before ? -effect : effect,
        before,
        after,
        List.of(),
        String.format(
            Locale.ROOT, "The %s changed: its mean is %.3g instead of %.3g.", what, after, before));
  }

  /** Tests the number of unknown rows. */
  Outcome unknown(int unknown, int rows) {
    Threshold threshold = info.threshold();
    int known = threshold.rows();
    int accepted = (int) Math.rint(threshold.accepted() * known);
    double before = 1 - threshold.accepted();
    double after = unknown / (double) rows;
    return new Outcome(
        "unknown",
        "beta-binomial",
        unknown,
        RateTests.beyondThreshold(unknown, rows, accepted, known),
        false,
        after - before,
        before,
        after,
        List.of(),
        String.format(
            Locale.ROOT,
            "%.1f %% of the inputs are unknown instead of %.1f %%.",
            100 * after,
            100 * before));
  }

  /** Tests the histogram of predicted labels. */
  Outcome predictions(int[] predicted, double[] estimated) {
    double[] before = shares(reference.predicted());
    double[] after = shares(predicted);
    double index = 0;
    List<Change.Feature> classes = new ArrayList<>();
    for (int c = 0; c < before.length; c++) {
      double a = Math.max(1e-4, before[c]);
      double b = Math.max(1e-4, after[c]);
      index += (b - a) * Math.log(b / a);
      double spread = Math.sqrt(a * (1 - Math.min(a, 1 - 1e-4)));
      classes.add(
          new Change.Feature(
              info.classNames().get(c), before[c], after[c], (after[c] - before[c]) / spread));
    }
    ChiSquaredTest.Outcome test = counts(doubles(reference.predicted()), doubles(predicted));
    classes.sort(Comparator.comparingDouble(f -> -Math.abs(f.after() - f.before())));
    Change.Feature top = classes.get(0);
    int c = info.classNames().indexOf(top.name());
    String truth =
        estimated.length == 0
            ? ""
            : String.format(
                Locale.ROOT, "; the estimated true share is %.1f %%", 100 * estimated[c]);
    return new Outcome(
        "predictions",
        "chi-squared-test",
        test.statistic(),
        test.pValue(),
        false,
        index,
        Double.NaN,
        Double.NaN,
        classes.subList(0, Math.min(most, classes.size())),
        String.format(
            Locale.ROOT,
            "%s is predicted for %.1f %% of the inputs instead of %.1f %%%s.",
            top.name(),
            100 * top.after(),
            100 * top.before(),
            truth));
  }

  /** The share of each class. */
  double[] shares(int[] predicted) {
    double[] shares = new double[info.classNames().size()];
    for (int label : predicted) {
      shares[label] += 1.0 / predicted.length;
    }
    return shares;
  }

  /** The estimated share of each true class; empty where it cannot be estimated. */
  double[] estimated(int[] predicted) {
    Bbse bbse = mix;
    return bbse == null
        ? new double[0]
        : Scopes.scoped(() -> bbse.estimate(votes(predicted)).prior());
  }

  private static double[] doubles(int[] values) {
    return Arrays.stream(values).asDoubleStream().toArray();
  }

  private static double[] sorted(double[] values) {
    return Arrays.stream(values).filter(Double::isFinite).sorted().toArray();
  }

  @Override
  public void close() {
    if (inputTest != null) {
      inputTest.close();
    }
  }
}
