package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;

/** Means of [N, C, H, W] over a grid of the wanted size, [N, C, h, w]. */
public final class AdaptiveAvgPool2d extends Layer {
  private final long[] size;

  public AdaptiveAvgPool2d(int height, int width) {
    HyperParameter.atLeast("height", height, 1);
    HyperParameter.atLeast("width", width, 1);
    size = new long[] {height, width};
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.adaptive_avg_pool2d(x, size);
  }

  @Override
  public String toString() {
    return "AdaptiveAvgPool2d(" + size[0] + "x" + size[1] + ")";
  }
}
