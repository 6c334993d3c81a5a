package org.outrigger.core.nn;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;

/** The mean of each window of [N, C, H, W]; padding counts as zeros. */
public final class AvgPool2d extends Layer {
  private final long[] kernel;
  private final long[] stride;
  private final long[] padding;

  /** Windows side by side. */
  public AvgPool2d(int kernel) {
    this(kernel, kernel, 0);
  }

  public AvgPool2d(int kernel, int stride, int padding) {
    HyperParameter.atLeast("kernel", kernel, 1);
    HyperParameter.atLeast("stride", stride, 1);
    HyperParameter.between("padding", padding, 0, kernel / 2);
    this.kernel = new long[] {kernel, kernel};
    this.stride = new long[] {stride, stride};
    this.padding = new long[] {padding, padding};
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    try (LongOptional none = new LongOptional()) {
      return torch.avg_pool2d(x, kernel, stride, padding, false, true, none);
    }
  }

  @Override
  public String toString() {
    return "AvgPool2d(" + kernel[0] + ", stride " + stride[0] + ", padding " + padding[0] + ")";
  }
}
