package org.outrigger.calibrate.nngp;

import java.util.Arrays;
import java.util.OptionalDouble;
import org.apache.commons.statistics.distribution.NormalDistribution;
import org.apache.commons.statistics.distribution.TDistribution;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The shape of a predictive distribution, centred at 0 and in units of its scale; all rows of a
 * process share it.
 */
public sealed interface PredictiveLaw {
  /**
   * The value that is not exceeded with that probability.
   *
   * @param probability in (0, 1)
   */
  double quantile(double probability);

  /** The degrees of freedom of its tails; infinite where it has none. */
  double degreesOfFreedom();

  /** The variance, where it is finite. */
  OptionalDouble variance();

  /**
   * The log density.
   *
   * @param z float64, any shape
   */
  Tensor logDensity(Tensor z);

  /** The standard normal. */
  record Normal() implements PredictiveLaw {
    @Override
    public double quantile(double probability) {
      inside(probability);
      return NormalDistribution.of(0, 1).inverseCumulativeProbability(probability);
    }

    @Override
    public double degreesOfFreedom() {
      return Double.POSITIVE_INFINITY;
    }

    @Override
    public OptionalDouble variance() {
      return OptionalDouble.of(1);
    }

    @Override
    public Tensor logDensity(Tensor z) {
      return Scopes.tensor(
          () -> z.square().mul(new Scalar(-0.5)).sub(new Scalar(0.5 * Math.log(2 * Math.PI))));
    }
  }

  /**
   * Student's t.
   *
   * @param degreesOfFreedom above 0
   */
  record StudentT(double degreesOfFreedom) implements PredictiveLaw {
    public StudentT {
      HyperParameter.positive("degreesOfFreedom", degreesOfFreedom);
    }

    @Override
    public double quantile(double probability) {
      inside(probability);
      return TDistribution.of(degreesOfFreedom).inverseCumulativeProbability(probability);
    }

    @Override
    public OptionalDouble variance() {
      return degreesOfFreedom > 2
          ? OptionalDouble.of(degreesOfFreedom / (degreesOfFreedom - 2))
          : OptionalDouble.empty();
    }

    @Override
    public Tensor logDensity(Tensor z) {
      double top = TDistribution.of(degreesOfFreedom).logDensity(0);
      return Scopes.tensor(
          () ->
              z.square()
                  .div(new Scalar(degreesOfFreedom))
                  .log1p()
                  .mul(new Scalar(-(degreesOfFreedom + 1) / 2))
                  .add(new Scalar(top)));
    }
  }

  /**
   * Normals of weighted variances.
   *
   * @param weights sum to 1
   * @param variances as many, above 0
   */
  @SuppressWarnings("ArrayRecordComponent")
  record NormalMixture(double[] weights, double[] variances) implements PredictiveLaw {
    public NormalMixture {
      weights = weights.clone();
      variances = variances.clone();
      HyperParameter.require(
          weights.length == variances.length && weights.length > 0,
          "weights",
          weights.length,
          "one for each of " + variances.length + " variances");
    }

    @Override
    public double quantile(double probability) {
      inside(probability);
      double largest = Arrays.stream(variances).max().orElse(1);
      double end =
          Math.sqrt(largest)
                  * Math.abs(new Normal().quantile(Math.min(probability, 1 - probability)))
              + Double.MIN_NORMAL;
      double low = -end;
      double high = end;
      // Halved until neighbouring numbers are left.
      for (int i = 0; i < 200 && high - low > 1e-15 * end; i++) {
        double middle = (low + high) / 2;
        if (below(middle) < probability) {
          low = middle;
        } else {
          high = middle;
        }
      }
      return (low + high) / 2;
    }

    private double below(double z) {
      NormalDistribution normal = NormalDistribution.of(0, 1);
      double sum = 0;
      for (int i = 0; i < weights.length; i++) {
        if (weights[i] > 0) {
          sum += weights[i] * normal.cumulativeProbability(z / Math.sqrt(variances[i]));
        }
      }
      return sum;
    }

    @Override
    public double degreesOfFreedom() {
      return Double.POSITIVE_INFINITY;
    }

    @Override
    public OptionalDouble variance() {
      double sum = 0;
      for (int i = 0; i < weights.length; i++) {
        sum += weights[i] * variances[i];
      }
      return OptionalDouble.of(sum);
    }

    @Override
    public Tensor logDensity(Tensor z) {
      return Scopes.tensor(
          () -> {
            Tensor v = Tensors.of(variances, variances.length);
            Tensor constant =
                Tensors.of(weights, weights.length)
                    .log()
                    .sub(v.mul(new Scalar(2 * Math.PI)).log().div(new Scalar(2.0)));
            return constant.sub(z.square().unsqueeze(-1).div(v.mul(new Scalar(2.0)))).logsumexp(-1);
          });
    }
  }

  private static void inside(double probability) {
    HyperParameter.inside("probability", probability, 0, 1);
  }
}
