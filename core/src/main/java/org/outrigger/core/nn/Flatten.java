package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;

/** [N, ...] to [N, D]. */
public final class Flatten extends Layer {
  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return x.dim() == 2 ? x : x.flatten(1, -1);
  }
}
