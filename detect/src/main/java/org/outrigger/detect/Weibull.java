package org.outrigger.detect;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;

/**
 * The two-parameter Weibull distribution, {@code F(t) = 1 - exp(-(t / scale)^shape)} for t above 0.
 *
 * @param shape k, above 0
 * @param scale lambda, above 0
 */
record Weibull(double shape, double scale) {
  /**
   * The maximum-likelihood fit. The profile likelihood's derivative in the shape, {@code sum t^k ln
   * t / sum t^k - 1/k - mean ln t}, rises strictly, so its root is bracketed and bisected; the
   * scale follows as {@code (mean t^k)^(1/k)}.
   *
   * @param values added to {@code offset}; the sums must be above 0
   * @param offset a shift that is kept apart so that close values stay distinct
   * @throws OutriggerException if there are fewer than two distinct values
   */
  static Weibull fit(double[] values, double offset) {
    double max = Arrays.stream(values).max().orElse(0);
    double min = Arrays.stream(values).min().orElse(0);
    if (!(max > min) || !(offset + min > 0)) {
      throw new OutriggerException(
          "A Weibull distribution needs at least two distinct values above 0.");
    }
    // Logarithms relative to the largest value: near 10000 the direct ones lose half their digits.
    double top = offset + max;
    double[] logs = Arrays.stream(values).map(v -> Math.log1p((v - max) / top)).toArray();
    double mean = Arrays.stream(logs).average().orElse(0);
    double low = 0;
    double high = 1;
    while (profile(logs, mean, high) < 0) {
      low = high;
      high *= 2;
    }
    for (int i = 0; i < 200; i++) {
      double middle = (low + high) / 2;
      if (middle <= low || middle >= high) {
        break;
      }
      if (profile(logs, mean, middle) < 0) {
        low = middle;
      } else {
        high = middle;
      }
    }
    double shape = (low + high) / 2;
    double power = Arrays.stream(logs).map(y -> Math.exp(shape * y)).average().orElse(0);
    return new Weibull(shape, top * Math.exp(Math.log(power) / shape));
  }

  private static double profile(double[] logs, double mean, double shape) {
    double weights = 0;
    double weighted = 0;
    for (double y : logs) {
      double weight = Math.exp(shape * y);
      weights += weight;
      weighted += weight * y;
    }
    return weighted / weights - 1 / shape - mean;
  }
}
