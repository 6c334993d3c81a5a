package org.outrigger.core.metric;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;

/** Quantiles by linear interpolation at position (n - 1) q, the convention of NumPy. */
public final class Quantiles {
  private Quantiles() {}

  /**
   * @param values at least one, none NaN
   * @param q in [0, 1]
   */
  public static double of(double[] values, double q) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return ofSorted(sorted, q);
  }

  /** As {@link #of}, for values in ascending order. */
  public static double ofSorted(double[] sorted, double q) {
    if (sorted.length == 0 || !(q >= 0 && q <= 1)) {
      throw new OutriggerException(
          "The quantile " + q + " of " + sorted.length + " values is not defined.");
    }
    double position = (sorted.length - 1) * q;
    int below = (int) position;
    double part = position - below;
    if (part == 0) {
      return sorted[below];
    }
    double low = sorted[below];
    double high = sorted[below + 1];
    // Equal neighbours first: infinity minus infinity is not a number.
    return low == high ? low : low + (high - low) * part;
  }
}
