package org.outrigger.core.metric;

import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * The scores of in-distribution and out-of-distribution items, sorted once: each distinct value
 * with how many items of either kind have it. A threshold therefore takes all equal scores or none.
 * Scores are larger for less familiar items; infinities are allowed and ordered, {@code -0.0}
 * equals {@code 0.0}.
 */
public final class ScoreTable {
  private final double[] values;
  private final int[] id;
  private final int[] ood;
  private final int idTotal;
  private final int oodTotal;

  ScoreTable(double[] values, int[] id, int[] ood, int idTotal, int oodTotal) {
    this.values = values;
    this.id = id;
    this.ood = ood;
    this.idTotal = idTotal;
    this.oodTotal = oodTotal;
  }

  /**
   * Sorts the scores, O(n log n).
   *
   * @param idScores of in-distribution items, at least one
   * @param oodScores of out-of-distribution items, at least one
   * @throws OutriggerException if a set is empty or has NaN scores, which are counted
   */
  public static ScoreTable of(double[] idScores, double[] oodScores) {
    double[] a = sorted("in-distribution", idScores);
    double[] b = sorted("out-of-distribution", oodScores);
    double[] values = new double[a.length + b.length];
    int[] id = new int[values.length];
    int[] ood = new int[values.length];
    int groups = 0;
    for (int i = 0, j = 0; i < a.length || j < b.length; groups++) {
      double value = j == b.length || (i < a.length && a[i] <= b[j]) ? a[i] : b[j];
      values[groups] = value;
      for (; i < a.length && a[i] == value; i++) {
        id[groups]++;
      }
      for (; j < b.length && b[j] == value; j++) {
        ood[groups]++;
      }
    }
    return new ScoreTable(
        Arrays.copyOf(values, groups),
        Arrays.copyOf(id, groups),
        Arrays.copyOf(ood, groups),
        a.length,
        b.length);
  }

  /** As {@link #of(double[], double[])}, for tensors [N] and [M]. */
  public static ScoreTable of(Tensor idScores, Tensor oodScores) {
    Shapes.check()
        .tensor("The in-distribution scores", idScores, "N")
        .tensor("The out-of-distribution scores", oodScores, "M");
    return of(Tensors.doubles(idScores), Tensors.doubles(oodScores));
  }

  private static double[] sorted(String kind, double[] scores) {
    if (scores.length == 0) {
      throw new OutriggerException(
          "There are no " + kind + " scores: detection needs at least one of each kind.");
    }
    long nan = Arrays.stream(scores).filter(Double::isNaN).count();
    if (nan > 0) {
      throw new OutriggerException(
          nan
              + " of "
              + scores.length
              + " "
              + kind
              + " scores are NaN: look for NaN in the inputs or the model's outputs.");
    }
    double[] sorted = scores.clone();
    Arrays.sort(sorted);
    return sorted;
  }

  /** How many distinct scores there are. */
  public int size() {
    return values.length;
  }

  /** The {@code i}-th smallest distinct score. */
  public double value(int i) {
    return values[i];
  }

  /** How many in-distribution items have the {@code i}-th smallest score. */
  public int id(int i) {
    return id[i];
  }

  /** How many out-of-distribution items have the {@code i}-th smallest score. */
  public int ood(int i) {
    return ood[i];
  }

  /** How many in-distribution items there are. */
  public int idTotal() {
    return idTotal;
  }

  /** How many out-of-distribution items there are. */
  public int oodTotal() {
    return oodTotal;
  }

  /** The same values with other counts: a resample. */
  ScoreTable withCounts(int[] newId, int[] newOod) {
    return new ScoreTable(values, newId, newOod, idTotal, oodTotal);
  }
}
