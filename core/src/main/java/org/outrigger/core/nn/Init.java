package org.outrigger.core.nn;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Rng;

/**
 * Starting weights, float32, drawn from a seeded generator. The results belong to the enclosing
 * scope.
 */
public final class Init {
  private Init() {}

  /** A tensor of zeros. */
  public static Tensor zeros(long... shape) {
    return torch.zeros(shape, new TensorOptions(ScalarType.Float));
  }

  /** A tensor of ones. */
  public static Tensor ones(long... shape) {
    return torch.ones(shape, new TensorOptions(ScalarType.Float));
  }

  /** Uniform in [-bound, bound). */
  public static Tensor uniform(Rng rng, double bound, long... shape) {
    return rng.fillUniform(empty(shape), -bound, bound);
  }

  /** Normal with mean 0. */
  public static Tensor normal(Rng rng, double std, long... shape) {
    return rng.fillNormal(empty(shape), 0, std);
  }

  /** Normal with mean 0, cut off at two standard deviations by redrawing through the inverse. */
  public static Tensor truncatedNormal(Rng rng, double std, long... shape) {
    // Uniform over the cumulative range that +-2 sigma covers, mapped back: erfinv(u) sqrt(2) std.
    double reach = 0.9544997361036416;
    return rng.fillUniform(empty(shape), -reach, reach)
        .erfinv_()
        .mul_(new Scalar(Math.sqrt(2) * std));
  }

  /**
   * PyTorch's default for linear and convolution weights and biases: kaiming uniform with a =
   * sqrt(5), which is uniform within 1 / sqrt(fan in).
   */
  public static Tensor fanIn(Rng rng, long fanIn, long... shape) {
    return uniform(rng, fanIn == 0 ? 0 : 1 / Math.sqrt(fanIn), shape);
  }

  /**
   * Kaiming normal over the fan out, for a convolution that a ReLU follows; He et al., ICCV 2015.
   *
   * @param shape [out, in / groups, kernel...]
   */
  public static Tensor kaimingNormal(Rng rng, long... shape) {
    long fanOut = shape[0];
    for (int i = 2; i < shape.length; i++) {
      fanOut *= shape[i];
    }
    return normal(rng, Math.sqrt(2.0 / fanOut), shape);
  }

  /** Xavier uniform over a matrix [out, in]; Glorot and Bengio, AISTATS 2010. */
  public static Tensor xavierUniform(Rng rng, long out, long in) {
    return uniform(rng, Math.sqrt(6.0 / (in + out)), out, in);
  }

  private static Tensor empty(long... shape) {
    return torch.empty(shape, new TensorOptions(ScalarType.Float), null);
  }
}
