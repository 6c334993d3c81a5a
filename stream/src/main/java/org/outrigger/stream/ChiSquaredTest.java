package org.outrigger.stream;

import java.util.Objects;
import org.apache.commons.statistics.distribution.ChiSquaredDistribution;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
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
   * @param reference [n]
   * @param batch [m]
   * @return [2, K], float64
   */
  public static Tensor table(Tensor reference, Tensor batch) {
    return Scopes.tensor(
        () -> {
          Tensor a = torch.sort(reference.unsqueeze(0).contiguous(), 1, false).get0();
          Tensor b = torch.sort(batch.unsqueeze(0).contiguous(), 1, false).get0();
          Tensor pooled = torch.sort(torch.cat(new TensorVector(a, b), 1), 1, false).get0();
          Tensor first = pooled.narrow(1, 0, 1);
          long rest = pooled.size(1) - 1;
          Tensor different =
              pooled
                  .narrow(1, 1, rest)
                  .masked_select(pooled.narrow(1, 1, rest).ne(pooled.narrow(1, 0, rest)));
          Tensor all = torch.cat(new TensorVector(first, different.unsqueeze(0)), 1);
          return torch
              .cat(
                  new TensorVector(
                      KsTest.count(a, all, true).sub(KsTest.count(a, all, false)),
                      KsTest.count(b, all, true).sub(KsTest.count(b, all, false))),
                  0)
              .to(torch.ScalarType.Double);
        });
  }

  /**
   * The test of a table.
   *
   * @param table [2, K], counts; every column holds one at least
   */
  public static Outcome outcome(Tensor table) {
    return Scopes.scoped(
        () -> {
          int degrees = (int) table.size(1) - 1;
          if (degrees == 0) {
            return new Outcome(0, 1, 0, table.min().item_double());
          }
          Tensor expected =
              table.sum(1).unsqueeze(1).mul(table.sum(0).unsqueeze(0)).div(table.sum());
          Tensor off = table.sub(expected).abs();
          if (degrees == 1) {
            off = off.sub(new Scalar(0.5)).clamp_min(new Scalar(0.0));
          }
          double statistic = off.square().div(expected).sum().item_double();
          return new Outcome(
              statistic,
              ChiSquaredDistribution.of(degrees).survivalProbability(statistic),
              degrees,
              expected.min().item_double());
        });
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    int d = (int) reference.size(1);
    double[] statistics = new double[d];
    double[] pValues = new double[d];
    for (int f = 0; f < d; f++) {
      try (PointerScope scope = new PointerScope()) {
        Outcome outcome = outcome(table(reference.select(1, f), batch.select(1, f)));
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
    }
    return byFeature(statistics, pValues, settings().alpha, settings().correction);
  }

  /** The table of one feature as Java numbers, for reports. */
  static double[][] counts(Tensor reference, Tensor batch) {
    return Scopes.scoped(() -> Tensors.rows(table(reference, batch)));
  }
}
