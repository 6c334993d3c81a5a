package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * One-dimensional convolution of [N, in, L]; {@code weight} [out, in / groups, k], {@code bias}
 * [out].
 */
public final class Conv1d extends Layer {
  /**
   * @param in input channels
   * @param out output channels
   * @param kernel its length
   * @param stride its step
   * @param padding zeros on each side
   * @param dilation the distance between its taps
   * @param groups how many independent groups of channels there are
   * @param bias whether it has a bias
   */
  public record Options(
      int in,
      int out,
      int kernel,
      int stride,
      int padding,
      int dilation,
      int groups,
      boolean bias) {
    /** Stride 1, no padding, and a bias. */
    public static Options of(int in, int out, int kernel) {
      return new Options(in, out, kernel, 1, 0, 1, 1, true);
    }

    public Options stride(int stride) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }

    public Options padding(int padding) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }

    public Options dilation(int dilation) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }

    public Options groups(int groups) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }

    public Options bias(boolean bias) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }
  }

  private final Options options;
  private final long[] stride;
  private final long[] padding;
  private final long[] dilation;

  public Conv1d(int in, int out, int kernel, Rng rng) {
    this(Options.of(in, out, kernel), rng);
  }

  public Conv1d(Options options, Rng rng) {
    this.options = options;
    stride = new long[] {options.stride};
    padding = new long[] {options.padding};
    dilation = new long[] {options.dilation};
    ConvChecks.check(options.in, options.out, options.groups, kernel(), stride, padding, dilation);
    long fanIn = (long) options.in / options.groups * options.kernel;
    Scopes.run(
        () -> {
          parameter(
              "weight",
              Init.fanIn(rng, fanIn, options.out, options.in / options.groups, options.kernel));
          if (options.bias) {
            parameter("bias", Init.fanIn(rng, fanIn, options.out));
          }
        });
  }

  /** Its settings. */
  public Options options() {
    return options;
  }

  private long[] kernel() {
    return new long[] {options.kernel};
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.conv1d(
        x,
        context.tensor(this, "weight"),
        context.optional(this, "bias"),
        stride,
        padding,
        dilation,
        options.groups);
  }

  @Override
  public String toString() {
    return "Conv1d("
        + options.in
        + " -> "
        + options.out
        + ConvChecks.describe(kernel(), stride, padding, dilation, options.groups)
        + (has("bias") ? ")" : ", no bias)");
  }
}
