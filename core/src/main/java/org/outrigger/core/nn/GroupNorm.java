package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;

/**
 * Normalisation of [N, C, ...] within groups of channels; {@code weight} and {@code bias} [C]. Wu
 * and He, ECCV 2018.
 */
public final class GroupNorm extends Layer implements Normalisation {
  private final int groups;
  private final int channels;
  private final double eps;

  public GroupNorm(int groups, int channels) {
    this(groups, channels, 1e-5, true);
  }

  public GroupNorm(int groups, int channels, double eps, boolean affine) {
    HyperParameter.atLeast("channels", channels, 1);
    HyperParameter.require(
        groups >= 1 && channels % groups == 0,
        "groups",
        groups,
        "a divisor of channels = " + channels);
    HyperParameter.notNegative("eps", eps);
    this.groups = groups;
    this.channels = channels;
    this.eps = eps;
    if (affine) {
      Scopes.run(
          () -> {
            parameter("weight", Init.ones(channels));
            parameter("bias", Init.zeros(channels));
          });
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.group_norm(
        x, groups, context.optional(this, "weight"), context.optional(this, "bias"), eps, true);
  }

  @Override
  public String toString() {
    return "GroupNorm(" + groups + ", " + channels + ")";
  }
}
