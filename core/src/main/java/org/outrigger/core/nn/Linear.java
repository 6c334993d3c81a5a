package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** y = x W^T + b over the last dimension; {@code weight} [out, in], {@code bias} [out]. */
public final class Linear extends Layer implements Affine {
  private final long in;
  private final long out;

  public Linear(long in, long out, Rng rng) {
    this(in, out, true, rng);
  }

  public Linear(long in, long out, boolean bias, Rng rng) {
    HyperParameter.atLeast("in", in, 1);
    HyperParameter.atLeast("out", out, 1);
    this.in = in;
    this.out = out;
    Scopes.run(
        () -> {
          parameter("weight", Init.fanIn(rng, in, out, in));
          if (bias) {
            parameter("bias", Init.fanIn(rng, in, out));
          }
        });
  }

  @Override
  public long in() {
    return in;
  }

  @Override
  public long out() {
    return out;
  }

  @Override
  public Tensor matrix() {
    return tensor("weight");
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.linear(x, context.tensor(this, "weight"), context.optional(this, "bias"));
  }

  @Override
  public String toString() {
    return "Linear(" + in + " -> " + out + (has("bias") ? ")" : ", no bias)");
  }
}
