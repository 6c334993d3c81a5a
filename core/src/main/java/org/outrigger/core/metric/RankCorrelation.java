package org.outrigger.core.metric;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;

/**
 * How far two lists of numbers order the same things alike; in particular how well scores of models
 * predict their accuracies. All figures are in [-1, 1], and NaN where one of the lists is constant.
 * The lists hold one number a model, so loops over all pairs are cheap.
 */
public final class RankCorrelation {
  private RankCorrelation() {}

  /**
   * Weighted Kendall tau: agreement among the best counts more. A pair weighs {@code 1 / (1 +
   * rank_i) + 1 / (1 + rank_j)} with rank 0 for the best; the figure is the mean of two, with ranks
   * by {@code x} (ties by {@code y}) and by {@code y} (ties by {@code x}). Vigna, A Weighted
   * Correlation Index for Rankings with Ties, WWW 2015.
   *
   * @param x larger is better
   * @param y larger is better, of the same length
   */
  public static double weightedKendall(double[] x, double[] y) {
    check(x, y);
    return (weighted(x, y, places(x, y)) + weighted(x, y, places(y, x))) / 2;
  }

  private static double weighted(double[] x, double[] y, int[] rank) {
    double[] weight = new double[rank.length];
    Arrays.setAll(weight, i -> 1.0 / (1 + rank[i]));
    return kendall(x, y, weight);
  }

  /** Kendall's tau-b, which allows for ties. */
  public static double kendall(double[] x, double[] y) {
    check(x, y);
    double[] weight = new double[x.length];
    Arrays.fill(weight, 0.5);
    return kendall(x, y, weight);
  }

  /** A pair weighs the sum of both weights. */
  private static double kendall(double[] x, double[] y, double[] weight) {
    double agree = 0;
    double apartX = 0;
    double apartY = 0;
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < i; j++) {
        double w = weight[i] + weight[j];
        int dx = Double.compare(x[i] + 0.0, x[j] + 0.0);
        int dy = Double.compare(y[i] + 0.0, y[j] + 0.0);
        agree += w * Integer.signum(dx) * Integer.signum(dy);
        apartX += dx == 0 ? 0 : w;
        apartY += dy == 0 ? 0 : w;
      }
    }
    return agree / Math.sqrt(apartX) / Math.sqrt(apartY);
  }

  /** The place of each entry, 0 for the largest {@code first}, ties by {@code second}. */
  private static int[] places(double[] first, double[] second) {
    int[] order =
        sorted(
            first.length,
            Comparator.<Integer>comparingDouble(i -> -first[i]).thenComparing(i -> -second[i]));
    int[] places = new int[order.length];
    for (int place = 0; place < order.length; place++) {
      places[order[place]] = place;
    }
    return places;
  }

  private static int[] sorted(int n, Comparator<Integer> by) {
    return IntStream.range(0, n).boxed().sorted(by).mapToInt(Integer::intValue).toArray();
  }

  /** Pearson's correlation. */
  public static double pearson(double[] x, double[] y) {
    check(x, y);
    double meanX = Arrays.stream(x).average().orElseThrow();
    double meanY = Arrays.stream(y).average().orElseThrow();
    double both = 0;
    double squareX = 0;
    double squareY = 0;
    for (int i = 0; i < x.length; i++) {
      double dx = x[i] - meanX;
      double dy = y[i] - meanY;
      both += dx * dy;
      squareX += dx * dx;
      squareY += dy * dy;
    }
    return constant(x) || constant(y)
        ? Double.NaN
        : Math.max(-1, Math.min(1, both / Math.sqrt(squareX) / Math.sqrt(squareY)));
  }

  /** The mean of equal numbers may differ from them in the last bit. */
  private static boolean constant(double[] values) {
    return Arrays.stream(values).allMatch(v -> v == values[0]);
  }

  /** Spearman's correlation: Pearson's of the ranks. */
  public static double spearman(double[] x, double[] y) {
    check(x, y);
    return pearson(ranks(x), ranks(y));
  }

  /** Ranks from 1 for the smallest; equal values share the mean of theirs. */
  public static double[] ranks(double[] values) {
    int[] order = sorted(values.length, Comparator.comparingDouble(i -> values[i]));
    double[] ranks = new double[values.length];
    for (int from = 0; from < order.length; ) {
      int to = from;
      while (to < order.length && values[order[to]] == values[order[from]]) {
        to++;
      }
      for (int at = from; at < to; at++) {
        ranks[order[at]] = (from + 1 + to) / 2.0;
      }
      from = to;
    }
    return ranks;
  }

  /**
   * The best accuracy among the k models with the largest scores, over the best of all: 1 if the
   * best model is among them. Of equal scores the less accurate count as chosen first, so that a
   * score which tells nothing apart does not shine.
   *
   * @param accuracies above 0
   * @param k at least 1; more than there are models means all
   */
  public static double relAtK(double[] scores, double[] accuracies, int k) {
    check(scores, accuracies);
    double best = Arrays.stream(accuracies).max().orElseThrow();
    if (k < 1 || !(best > 0)) {
      throw new OutriggerException(
          k < 1
              ? "k = " + k + " models cannot be chosen: at least 1 must be."
              : "The best accuracy is " + best + ": a ratio to it needs one above 0.");
    }
    int[] order =
        sorted(
            scores.length,
            Comparator.<Integer>comparingDouble(i -> -scores[i])
                .thenComparingDouble(i -> accuracies[i]));
    return Arrays.stream(order).limit(k).mapToDouble(i -> accuracies[i]).max().orElseThrow() / best;
  }

  private static void check(double[] x, double[] y) {
    if (x.length != y.length || x.length < 2) {
      throw new OutriggerException(
          "A correlation needs two lists of the same length, at least 2, not "
              + x.length
              + " and "
              + y.length
              + " numbers.");
    }
    for (int i = 0; i < x.length; i++) {
      if (!Double.isFinite(x[i]) || !Double.isFinite(y[i])) {
        throw new OutriggerException(
            "A correlation needs finite numbers, but pair "
                + i
                + " is "
                + x[i]
                + ", "
                + y[i]
                + ".");
      }
    }
  }
}
