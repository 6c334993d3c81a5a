package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** The convolutions of residual networks: no bias, kaiming normal over the fan out. */
public final class ResidualConvs {
  private ResidualConvs() {}

  /** 3x3 that keeps the size at stride 1. */
  public static Conv2d conv3(int in, int out, int stride, Rng rng) {
    return init(
        new Conv2d(Conv2d.Options.of(in, out, 3).stride(stride).padding(1).bias(false), rng), rng);
  }

  /** 1x1. */
  public static Conv2d conv1(int in, int out, int stride, Rng rng) {
    return init(new Conv2d(Conv2d.Options.of(in, out, 1).stride(stride).bias(false), rng), rng);
  }

  private static Conv2d init(Conv2d conv, Rng rng) {
    Scopes.run(
        () -> {
          Tensor weight = conv.tensor("weight");
          weight.detach().copy_(Init.kaimingNormal(rng, weight.shape()));
        });
    return conv;
  }
}
