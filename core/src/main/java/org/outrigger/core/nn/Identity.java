package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;

/** Passes its input on: what a removed layer is replaced with. */
public final class Identity extends Layer {
  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return x;
  }
}
