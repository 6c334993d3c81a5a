package org.outrigger.core.metric;

import org.bytedeco.pytorch.Tensor;

/**
 * Area under the ROC curve: the probability that an out-of-distribution item scores higher than an
 * in-distribution one, a tie counting one half. 0.5 is chance, 1 is perfect.
 */
public final class Auroc {
  private Auroc() {}

  /** From scores; larger means less familiar. */
  public static double of(double[] idScores, double[] oodScores) {
    return of(ScoreTable.of(idScores, oodScores));
  }

  /** From score tensors [N] and [M]; larger means less familiar. */
  public static double of(Tensor idScores, Tensor oodScores) {
    return of(ScoreTable.of(idScores, oodScores));
  }

  /** From sorted scores, O(n). */
  public static double of(ScoreTable scores) {
    // Twice the number of won pairs is a whole number: exact up to 2^63 pairs.
    long twiceWon = 0;
    long idBelow = 0;
    for (int i = 0; i < scores.size(); i++) {
      twiceWon += scores.ood(i) * (2 * idBelow + scores.id(i));
      idBelow += scores.id(i);
    }
    return twiceWon / (2.0 * scores.idTotal() * scores.oodTotal());
  }
}
