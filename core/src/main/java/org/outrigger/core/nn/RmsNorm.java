package org.outrigger.core.nn;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;

/**
 * Root-mean-square normalisation over the last dimension, {@code x / sqrt(mean(x^2) + eps) weight};
 * {@code weight} [D]. Zhang and Sennrich, NeurIPS 2019.
 */
public final class RmsNorm extends Layer implements Normalisation {
  private final long size;
  private final double eps;

  public RmsNorm(long size) {
    this(size, 1e-5);
  }

  public RmsNorm(long size, double eps) {
    HyperParameter.atLeast("size", size, 1);
    HyperParameter.notNegative("eps", eps);
    this.size = size;
    this.eps = eps;
    Scopes.run(() -> parameter("weight", Init.ones(size)));
  }

  /**
   * The normalised values.
   *
   * @param x [..., D]
   * @param weight [D]
   * @return [..., D]
   */
  public static Tensor normalise(Tensor x, Tensor weight, double eps) {
    return Scopes.tensor(
        () ->
            x.mul(x.mul(x).mean(new long[] {-1}, true, null).add(new Scalar(eps)).rsqrt())
                .mul(weight));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return normalise(x, context.tensor(this, "weight"), eps);
  }

  @Override
  public String toString() {
    return "RmsNorm(" + size + ")";
  }
}
