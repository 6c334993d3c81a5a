package org.outrigger.core.nn;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.outrigger.core.method.HyperParameter;

/** What the convolutions share: range checks and how they print. */
final class ConvChecks {
  private ConvChecks() {}

  static void check(
      int in, int out, int groups, long[] kernel, long[] stride, long[] padding, long[] dilation) {
    HyperParameter.atLeast("in", in, 1);
    HyperParameter.atLeast("out", out, 1);
    HyperParameter.require(
        groups >= 1 && in % groups == 0 && out % groups == 0,
        "groups",
        groups,
        "a divisor of in = " + in + " and out = " + out);
    for (int i = 0; i < kernel.length; i++) {
      HyperParameter.atLeast("kernel", kernel[i], 1);
      HyperParameter.atLeast("stride", stride[i], 1);
      HyperParameter.atLeast("padding", padding[i], 0);
      HyperParameter.atLeast("dilation", dilation[i], 1);
    }
  }

  static String describe(
      long[] kernel, long[] stride, long[] padding, long[] dilation, int groups) {
    return ", "
        + Arrays.stream(kernel).mapToObj(Long::toString).collect(Collectors.joining("x"))
        + setting("stride", stride, 1)
        + setting("padding", padding, 0)
        + setting("dilation", dilation, 1)
        + (groups == 1 ? "" : ", groups " + groups);
  }

  private static String setting(String name, long[] values, long usual) {
    if (Arrays.stream(values).allMatch(v -> v == usual)) {
      return "";
    }
    return Arrays.stream(values).distinct().count() == 1
        ? ", " + name + " " + values[0]
        : ", " + name + " " + Arrays.toString(values);
  }
}
