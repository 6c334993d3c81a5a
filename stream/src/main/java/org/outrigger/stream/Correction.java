package org.outrigger.stream;

import java.util.Arrays;

/** What becomes of the level alpha when d hypotheses are tested at once. */
public enum Correction {
  /** Each p-value is compared with alpha / d: false alarms of the whole stay below alpha. */
  BONFERRONI {
    @Override
    public double threshold(double[] pValues, double alpha) {
      return alpha / pValues.length;
    }
  },
  /**
   * Benjamini and Hochberg: the largest i with {@code p_(i) < alpha i / d}, p sorted, gives the
   * threshold {@code alpha i / d}; the share of false ones among the features found stays below
   * alpha.
   */
  BENJAMINI_HOCHBERG {
    @Override
    public double threshold(double[] pValues, double alpha) {
      double[] sorted = pValues.clone();
      Arrays.sort(sorted);
      for (int i = sorted.length; i >= 1; i--) {
        double bound = alpha * i / sorted.length;
        if (sorted[i - 1] < bound) {
          return bound;
        }
      }
      return alpha / sorted.length;
    }
  },
  /** Each p-value is compared with alpha: for one feature, or for exploring. */
  NONE {
    @Override
    public double threshold(double[] pValues, double alpha) {
      return alpha;
    }
  };

  /**
   * The threshold below which a p-value is significant.
   *
   * @param pValues at least one, in [0, 1]
   * @param alpha the level of the whole, in (0, 1)
   */
  public abstract double threshold(double[] pValues, double alpha);
}
