package org.outrigger.guard;

import org.apache.commons.statistics.distribution.HypergeometricDistribution;

/** Exact two-sided tests of rates: twice the smaller tail. */
final class RateTests {
  private RateTests() {}

  /**
   * Whether {@code unknown} of {@code rows} lie beyond a threshold that was set at the {@code
   * accepted}-th smallest of {@code known} scores. Without drift and ties their number follows a
   * beta-binomial law, which accounts for the chance in the threshold.
   */
  static double beyondThreshold(int unknown, int rows, int accepted, int known) {
    double a = known + 1.0 - accepted;
    double b = accepted;
    double log = 0;
    for (int i = 0; i < rows; i++) {
      log += Math.log((b + i) / (a + b + i));
    }
    double below = 0;
    double above = 0;
    for (int j = 0; j <= rows; j++) {
      double mass = Math.exp(log);
      below += j <= unknown ? mass : 0;
      above += j >= unknown ? mass : 0;
      log += Math.log((rows - j) / (j + 1.0) * (j + a) / (rows - j - 1 + b));
    }
    return Math.min(1, 2 * Math.min(below, above));
  }

  /** Fisher's exact test of {@code first} of {@code n} against {@code second} of {@code m}. */
  static double equal(int first, int n, int second, int m) {
    HypergeometricDistribution law = HypergeometricDistribution.of(n + m, first + second, m);
    double below = law.cumulativeProbability(second);
    double above = law.survivalProbability(second - 1);
    return Math.min(1, 2 * Math.min(below, above));
  }
}
