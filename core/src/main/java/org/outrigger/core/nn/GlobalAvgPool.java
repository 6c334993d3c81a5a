package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;

/** The mean over all positions: [N, C, ...] to [N, C]. */
public final class GlobalAvgPool extends Layer {
  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    long dimensions = x.dim();
    if (dimensions == 4) {
      return x.mean(2, 3);
    }
    if (dimensions == 3) {
      return x.mean(2);
    }
    throw new IllegalArgumentException("expected [N, C, L] or [N, C, H, W]");
  }
}
