package org.outrigger.stream;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.StringViewOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.KolmogorovSmirnov.Side;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Kolmogorov-Smirnov test of every feature by itself: {@code D = max |F_A - F_B|}, with the exact
 * p-value where n m is at most ten million, and a correction for the number of features.
 *
 * <p>Samples that are too small for any p-value to reach the threshold are warned about in the log.
 *
 * <p>Smirnov, "Table for Estimating the Goodness of Fit of Empirical Distributions", Annals of
 * Mathematical Statistics 1948; as a test of drift: Rabanser, Günnemann, Lipton, "Failing Loudly",
 * NeurIPS 2019.
 */
@Card(
    slug = "ks-test",
    name = "Kolmogorov-Smirnov test",
    summary = "The largest gap of the distribution functions, feature by feature, exact.",
    paper = "Rabanser, Günnemann, Lipton. Failing Loudly. NeurIPS 2019; Smirnov 1948",
    year = 1948,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class KsTest extends ReferenceTest<KsTest.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(KsTest.class);

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

  public KsTest() {
    this(Settings.defaults());
  }

  public KsTest(Settings settings) {
    super(settings);
  }

  /**
   * The distance of each feature.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @return [d] in [0, 1]
   */
  public static Tensor distance(Tensor reference, Tensor batch) {
    return Scopes.tensor(
        () -> {
          Tensor[] f = distributions(reference, batch);
          return f[0].sub(f[1]).abs().amax(new long[] {1}, false);
        });
  }

  /**
   * Both distribution functions at the pooled values, ascending.
   *
   * @return F_A, F_B and the values, each [d, n + m]
   */
  static Tensor[] distributions(Tensor reference, Tensor batch) {
    Tensor a = torch.sort(reference.t().contiguous(), 1, false).get0();
    Tensor b = torch.sort(batch.t().contiguous(), 1, false).get0();
    Tensor pooled = torch.sort(torch.cat(new TensorVector(a, b), 1), 1, false).get0();
    return new Tensor[] {share(a, pooled), share(b, pooled), pooled};
  }

  /** The share of each row's sorted values that are at most each point. */
  private static Tensor share(Tensor sorted, Tensor points) {
    return count(sorted, points, true)
        .to(torch.ScalarType.Double)
        .div(new Scalar((double) sorted.size(1)));
  }

  /** How many of each row's sorted values are below each point, or at most each. */
  static Tensor count(Tensor sorted, Tensor points, boolean orEqual) {
    return torch.searchsorted(
        sorted,
        points.contiguous(),
        false,
        orEqual,
        new StringViewOptional(),
        new TensorOptional());
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    int n = size(reference);
    int m = size(batch);
    double[] distances = Tensors.doubles(distance(reference, batch));
    double[] pValues = new double[distances.length];
    for (int f = 0; f < pValues.length; f++) {
      pValues[f] = KolmogorovSmirnov.pValue(distances[f], n, m, Side.TWO_SIDED);
    }
    double smallest = KolmogorovSmirnov.smallest(n, m);
    if (smallest >= settings().alpha / pValues.length) {
      LOG.warn(
          "Samples of {} and {} rows are too small: their smallest p-value, {}, is not below"
              + " alpha = {} over {} features. Test larger batches.",
          n,
          m,
          smallest,
          settings().alpha,
          pValues.length);
    }
    return byFeature(distances, pValues, settings().alpha, settings().correction);
  }

  private static int size(Tensor rows) {
    if (rows.size(0) > Integer.MAX_VALUE) {
      throw new OutriggerException("More than two billion rows: test a sample of them.");
    }
    return (int) rows.size(0);
  }
}
