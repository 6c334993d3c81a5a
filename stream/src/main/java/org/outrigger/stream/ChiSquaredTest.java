package org.outrigger.stream;

import java.util.Arrays;
import java.util.Objects;
import org.apache.commons.statistics.distribution.ChiSquaredDistribution;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Chi-squared test of every categorical feature by itself: counts of both samples over the union of
 * their categories, {@code sum (O - E)^2 / E} with K - 1 degrees of freedom, Yates's correction for
 * two categories. Every different value is a category; a feature of one category has p = 1.
 *
 * <p>Pearson, "On the criterion that a given system of deviations ...", Philosophical Magazine
 * 1900.
 */
@Card(
    slug = "chi-squared-test",
    name = "Chi-squared test",
    summary = "Counts of categories, feature by feature; for features that are no measure.",
    paper =
        "Pearson, On the criterion that a given system of deviations, Philosophical Magazine 1900",
    year = 1900,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class ChiSquaredTest extends ReferenceTest<ChiSquaredTest.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(ChiSquaredTest.class);
  private static final double LEAST_EXPECTED = 5;

  /**
   * @param alpha the level of the whole, in (0, 1)
   * @param correction for the number of features
   */
  public record Settings(double alpha, Correction correction) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      Objects.requireNonNull(correction);
    }

    public static Settings defaults() {
      return new Settings(0.05, Correction.BONFERRONI);
    }
  }

  /**
   * What a table of counts came to.
   *
   * @param statistic 0 or more
   * @param pValue in [0, 1]
   * @param degrees of freedom, K - 1
   * @param smallest the smallest expected count; below 5 the p-value is rough
   */
  public record Outcome(double statistic, double pValue, int degrees, double smallest) {}

  public ChiSquaredTest() {
    this(Settings.defaults());
  }

  public ChiSquaredTest(Settings settings) {
    super(settings);
  }

  /**
   * How often each category occurs, over the union of both samples' categories in ascending order.
   *
   * @param reference not empty
   * @param batch likewise
   * @return [2, K]
   * @throws org.outrigger.core.OutriggerException if a value is not finite
   */
  public static double[][] table(double[] reference, double[] batch) {
    double[] a = KolmogorovSmirnov.sorted(reference, "The reference");
    double[] b = KolmogorovSmirnov.sorted(batch, "The batch");
    double[][] table = new double[2][a.length + b.length];
    int categories = 0;
    int i = 0;
    int j = 0;
    while (i < a.length || j < b.length) {
      double category = j == b.length || i < a.length && a[i] <= b[j] ? a[i] : b[j];
      int fromA = i;
      int fromB = j;
      while (i < a.length && a[i] == category) {
        i++;
      }
      while (j < b.length && b[j] == category) {
        j++;
      }
      table[0][categories] = i - fromA;
      table[1][categories++] = j - fromB;
    }
    return new double[][] {
      Arrays.copyOf(table[0], categories), Arrays.copyOf(table[1], categories)
    };
  }

  /**
   * The test of a table.
   *
   * @param table [2, K], counts; every column holds one at least
   */
  public static Outcome outcome(double[][] table) {
    double[][] expected = expected(table);
    double smallest = Arrays.stream(expected).flatMapToDouble(Arrays::stream).min().orElseThrow();
    int degrees = table[0].length - 1;
    if (degrees == 0) {
      return new Outcome(0, 1, 0, smallest);
    }
    double yates = degrees == 1 ? 0.5 : 0;
    double statistic = 0;
    for (int row = 0; row < 2; row++) {
      for (int k = 0; k <= degrees; k++) {
        double off = Math.max(0, Math.abs(table[row][k] - expected[row][k]) - yates);
        statistic += off * off / expected[row][k];
      }
    }
    return new Outcome(
        statistic,
        ChiSquaredDistribution.of(degrees).survivalProbability(statistic),
        degrees,
        smallest);
  }

  /** The counts that a table would have if both samples had the same shares, [2, K]. */
  public static double[][] expected(double[][] table) {
    double[] rows = {Arrays.stream(table[0]).sum(), Arrays.stream(table[1]).sum()};
    double[][] expected = new double[2][table[0].length];
    for (int k = 0; k < table[0].length; k++) {
      double column = table[0][k] + table[1][k];
      for (int row = 0; row < 2; row++) {
        expected[row][k] = rows[row] * column / (rows[0] + rows[1]);
      }
    }
    return expected;
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    int d = (int) reference.size(1);
    double[][] known = Tensors.rows(reference.t());
    double[][] now = Tensors.rows(batch.t());
    double[] statistics = new double[d];
    double[] pValues = new double[d];
    for (int f = 0; f < d; f++) {
      Outcome outcome = outcome(table(known[f], now[f]));
      statistics[f] = outcome.statistic();
      pValues[f] = outcome.pValue();
      if (outcome.smallest() < LEAST_EXPECTED && outcome.degrees() > 0) {
        LOG.warn(
            "Feature {} has a category with {} expected rows, below 5: its p-value is rough. Join"
                + " rare categories or test more rows.",
            f,
            outcome.smallest());
      }
    }
    return byFeature(statistics, pValues, settings().alpha, settings().correction);
  }
}
