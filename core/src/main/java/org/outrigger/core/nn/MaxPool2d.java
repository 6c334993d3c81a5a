package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;

/** The largest value of each window of [N, C, H, W]. */
public final class MaxPool2d extends Layer {
  private final long[] kernel;
  private final long[] stride;
  private final long[] padding;

  /** Windows side by side. */
  public MaxPool2d(int kernel) {
    this(kernel, kernel, 0);
  }

  public MaxPool2d(int kernel, int stride, int padding) {
    HyperParameter.atLeast("kernel", kernel, 1);
    HyperParameter.atLeast("stride", stride, 1);
    HyperParameter.between("padding", padding, 0, kernel / 2);
    this.kernel = new long[] {kernel, kernel};
    this.stride = new long[] {stride, stride};
    this.padding = new long[] {padding, padding};
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.max_pool2d(x, kernel, stride, padding, new long[] {1, 1}, false);
  }

  @Override
  public String toString() {
    return "MaxPool2d(" + kernel[0] + ", stride " + stride[0] + ", padding " + padding[0] + ")";
  }
}
