package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Two-dimensional convolution of [N, in, H, W]; {@code weight} [out, in / groups, kH, kW], {@code
 * bias} [out].
 */
public final class Conv2d extends Layer {
  /**
   * @param in input channels
   * @param out output channels
   * @param kernel [kH, kW]
   * @param stride [sH, sW]
   * @param padding zeros on each side, [pH, pW]
   * @param dilation [dH, dW]
   * @param groups how many independent groups of channels there are
   * @param bias whether it has a bias
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Options(
      int in,
      int out,
      long[] kernel,
      long[] stride,
      long[] padding,
      long[] dilation,
      int groups,
      boolean bias) {
    /** A square kernel with stride 1, no padding, and a bias. */
    public static Options of(int in, int out, int kernel) {
      return new Options(in, out, both(kernel), both(1), both(0), both(1), 1, true);
    }

    public Options stride(int stride) {
      return new Options(in, out, kernel, both(stride), padding, dilation, groups, bias);
    }

    public Options padding(int padding) {
      return new Options(in, out, kernel, stride, both(padding), dilation, groups, bias);
    }

    public Options dilation(int dilation) {
      return new Options(in, out, kernel, stride, padding, both(dilation), groups, bias);
    }

    public Options groups(int groups) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }

    public Options bias(boolean bias) {
      return new Options(in, out, kernel, stride, padding, dilation, groups, bias);
    }

    private static long[] both(long value) {
      return new long[] {value, value};
    }
  }

  private final Options options;

  public Conv2d(int in, int out, int kernel, Rng rng) {
    this(Options.of(in, out, kernel), rng);
  }

  public Conv2d(Options options, Rng rng) {
    ConvChecks.check(
        options.in,
        options.out,
        options.groups,
        options.kernel,
        options.stride,
        options.padding,
        options.dilation);
    this.options = options;
    long fanIn = (long) options.in / options.groups * options.kernel[0] * options.kernel[1];
    Scopes.run(
        () -> {
          parameter(
              "weight",
              Init.fanIn(
                  rng,
                  fanIn,
                  options.out,
                  options.in / options.groups,
                  options.kernel[0],
                  options.kernel[1]));
          if (options.bias) {
            parameter("bias", Init.fanIn(rng, fanIn, options.out));
          }
        });
  }

  /** Its settings. */
  public Options options() {
    return options;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.conv2d(
        x,
        context.tensor(this, "weight"),
        context.optional(this, "bias"),
        options.stride,
        options.padding,
        options.dilation,
        options.groups);
  }

  @Override
  public String toString() {
    return "Conv2d("
        + options.in
        + " -> "
        + options.out
        + ConvChecks.describe(
            options.kernel, options.stride, options.padding, options.dilation, options.groups)
        + (has("bias") ? ")" : ", no bias)");
  }
}
