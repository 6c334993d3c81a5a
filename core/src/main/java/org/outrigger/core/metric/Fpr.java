package org.outrigger.core.metric;

import org.outrigger.core.OutriggerException;

/**
 * The share of errors at a threshold that keeps a wanted true-positive rate. Papers mean one of two
 * things by FPR95, which differ by tens of points, so that both carry their name here. A threshold
 * takes all equal scores or none; nothing is interpolated.
 */
public final class Fpr {
  private Fpr() {}

  /**
   * In-distribution items are positive, as in most papers: at the smallest threshold that accepts
   * at least {@code tpr} of them (score &lt;= threshold), the share of out-of-distribution items
   * accepted too.
   */
  public static double idPositive(ScoreTable scores, double tpr) {
    checkTpr(tpr);
    long id = 0;
    long ood = 0;
    for (int i = 0; i < scores.size(); i++) {
      id += scores.id(i);
      ood += scores.ood(i);
      if (id / (double) scores.idTotal() >= tpr) {
        break;
      }
    }
    return ood / (double) scores.oodTotal();
  }

  /** As {@link #idPositive(ScoreTable, double)}. */
  public static double idPositive(double[] idScores, double[] oodScores, double tpr) {
    return idPositive(ScoreTable.of(idScores, oodScores), tpr);
  }

  /** The threshold of {@link #idPositive}: items that score higher are flagged. */
  public static double thresholdIdPositive(double[] idScores, double tpr) {
    checkTpr(tpr);
    ScoreTable scores = ScoreTable.of(idScores, idScores);
    long id = 0;
    int i = -1;
    do {
      i++;
      id += scores.id(i);
    } while (id / (double) scores.idTotal() < tpr);
    return scores.value(i);
  }

  /**
   * Out-of-distribution items are positive, as in OpenOOD and pytorch-ood: at the largest threshold
   * that flags at least {@code tpr} of them (score &gt;= threshold), the share of in-distribution
   * items flagged too.
   */
  public static double oodPositive(ScoreTable scores, double tpr) {
    checkTpr(tpr);
    long id = 0;
    long ood = 0;
    for (int i = scores.size() - 1; i >= 0; i--) {
      id += scores.id(i);
      ood += scores.ood(i);
      if (ood / (double) scores.oodTotal() >= tpr) {
        break;
      }
    }
    return id / (double) scores.idTotal();
  }

  /** As {@link #oodPositive(ScoreTable, double)}. */
  public static double oodPositive(double[] idScores, double[] oodScores, double tpr) {
    return oodPositive(ScoreTable.of(idScores, oodScores), tpr);
  }

  private static void checkTpr(double tpr) {
    if (!(tpr > 0 && tpr <= 1)) {
      throw new OutriggerException("tpr = " + tpr + " is out of range: use a value in (0, 1].");
    }
  }
}
