package org.outrigger.core.metric;

import org.bytedeco.pytorch.Tensor;

/**
 * How well scores separate out-of-distribution from in-distribution items. All figures but the two
 * false-positive rates are better when larger.
 *
 * @param idCount in-distribution items
 * @param oodCount out-of-distribution items
 * @param auroc see {@link Auroc}
 * @param auprIn area under precision-recall, in-distribution positive, trapezoid; see {@link Aupr}
 * @param auprOut the same, out-of-distribution positive
 * @param tpr the rate of true positives that both false-positive rates keep
 * @param fprIdPositive the convention of most papers; see {@link Fpr#idPositive}
 * @param fprOodPositive the convention of OpenOOD; see {@link Fpr#oodPositive}
 */
public record DetectionMetrics(
    int idCount,
    int oodCount,
    double auroc,
    double auprIn,
    double auprOut,
    double tpr,
    double fprIdPositive,
    double fprOodPositive) {

  /** At a true-positive rate of 0.95. */
  public static DetectionMetrics of(double[] idScores, double[] oodScores) {
    return of(ScoreTable.of(idScores, oodScores), 0.95);
  }

  /** At a true-positive rate of 0.95; score tensors [N] and [M]. */
  public static DetectionMetrics of(Tensor idScores, Tensor oodScores) {
    return of(ScoreTable.of(idScores, oodScores), 0.95);
  }

  /** From sorted scores. */
  public static DetectionMetrics of(ScoreTable scores, double tpr) {
    return new DetectionMetrics(
        scores.idTotal(),
        scores.oodTotal(),
        Auroc.of(scores),
        Aupr.in(scores),
        Aupr.out(scores),
        tpr,
        Fpr.idPositive(scores, tpr),
        Fpr.oodPositive(scores, tpr));
  }
}
