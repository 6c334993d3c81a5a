package org.outrigger.core.metric;

/**
 * Area under the precision-recall curve, with one point per distinct threshold and the end point
 * (recall 0, precision 1).
 *
 * <p>{@link #out} and {@link #in} use the trapezoid rule, as the OOD literature does; that is
 * optimistic under ties (all scores equal: (prevalence + 1) / 2). Average precision is a different
 * figure and has names of its own; the two must not be mixed in one table.
 */
public final class Aupr {
  private Aupr() {}

  /** Out-of-distribution items are positive; trapezoid rule. */
  public static double out(ScoreTable scores) {
    return area(scores, true, true);
  }

  /** Out-of-distribution items are positive; trapezoid rule. */
  public static double out(double[] idScores, double[] oodScores) {
    return out(ScoreTable.of(idScores, oodScores));
  }

  /** In-distribution items are positive, by the negated score; trapezoid rule. */
  public static double in(ScoreTable scores) {
    return area(scores, false, true);
  }

  /** In-distribution items are positive, by the negated score; trapezoid rule. */
  public static double in(double[] idScores, double[] oodScores) {
    return in(ScoreTable.of(idScores, oodScores));
  }

  /** Average precision with out-of-distribution items positive: sum of precision x recall step. */
  public static double averagePrecisionOut(ScoreTable scores) {
    return area(scores, true, false);
  }

  /** Average precision with in-distribution items positive. */
  public static double averagePrecisionIn(ScoreTable scores) {
    return area(scores, false, false);
  }

  private static double area(ScoreTable scores, boolean oodPositive, boolean trapezoid) {
    int n = scores.size();
    double positives = oodPositive ? scores.oodTotal() : scores.idTotal();
    double area = 0;
    double precisionBefore = 1;
    long truePositives = 0;
    long falsePositives = 0;
    for (int k = 0; k < n; k++) {
      int i = oodPositive ? n - 1 - k : k;
      int hit = oodPositive ? scores.ood(i) : scores.id(i);
      int miss = oodPositive ? scores.id(i) : scores.ood(i);
      if (hit + miss == 0) {
        continue;
      }
      truePositives += hit;
      falsePositives += miss;
      double precision = truePositives / (double) (truePositives + falsePositives);
      area += hit / positives * (trapezoid ? (precision + precisionBefore) / 2 : precision);
      precisionBefore = precision;
    }
    // Steps of recall add up to 1 but for rounding.
    return Math.min(1, area);
  }
}
