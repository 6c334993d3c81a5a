package org.outrigger.guard;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;

/**
 * Puts the scores of different detectors on one scale: the share of known validation inputs that
 * score lower, with equal scores counted half. Beyond the largest known score it goes on above 1,
 * one unit for each distance between the known median and the known maximum, so that far inputs are
 * still ordered.
 */
public final class ScoreScale {
  private final double[] sorted;
  private final double unit;

  /**
   * @param known scores of known inputs, at least one, without NaN
   */
  public ScoreScale(double[] known) {
    if (known.length == 0) {
      throw new OutriggerException("A score scale needs the scores of at least one known input.");
    }
    sorted = known.clone();
    Arrays.sort(sorted);
    double span = sorted[sorted.length - 1] - sorted[sorted.length / 2];
    unit = span > 0 && !Double.isInfinite(span) ? span : 1;
  }

  /** The known scores in ascending order. */
  public double[] known() {
    return sorted.clone();
  }

  /** The place of a score on the scale. */
  public double of(double score) {
    double largest = sorted[sorted.length - 1];
    if (score > largest) {
      return 1 + (score - largest) / unit;
    }
    return (lower(score, false) + lower(score, true)) / (2.0 * sorted.length);
  }

  /** How many known scores are below (or, if {@code equalToo}, at or below) a score. */
  private int lower(double score, boolean equalToo) {
    int low = 0;
    int high = sorted.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (sorted[middle] < score || (equalToo && sorted[middle] == score)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
