package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;

/** Layer normalisation over the last dimension; {@code weight} and {@code bias} [D]. */
public final class LayerNorm extends Layer implements Normalisation {
  private final long[] size;
  private final double eps;

  public LayerNorm(long size) {
    this(size, 1e-5, true);
  }

  public LayerNorm(long size, double eps, boolean affine) {
    HyperParameter.atLeast("size", size, 1);
    HyperParameter.notNegative("eps", eps);
    this.size = new long[] {size};
    this.eps = eps;
    if (affine) {
      Scopes.run(
          () -> {
            parameter("weight", Init.ones(size));
            parameter("bias", Init.zeros(size));
          });
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.layer_norm(
        x, size, context.optional(this, "weight"), context.optional(this, "bias"), eps, true);
  }

  @Override
  public String toString() {
    return "LayerNorm(" + size[0] + ")";
  }
}
