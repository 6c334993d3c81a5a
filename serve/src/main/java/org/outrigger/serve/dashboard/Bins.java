package org.outrigger.serve.dashboard;

/**
 * Bins of equal width for scores, with one more at each end for what lies outside.
 *
 * @param from where the first inner bin starts
 * @param to where the last inner bin ends; above {@code from}
 * @param inner how many inner bins there are
 */
record Bins(double from, double to, int inner) {
  static final int INNER = 40;

  /** Bins around known scores: their middle 99 %, and beyond the threshold as far again. */
  static Bins around(double[] sorted, double threshold) {
    int n = sorted.length;
    double low = sorted[(int) (0.005 * (n - 1))];
    double high = Math.max(sorted[(int) Math.ceil(0.995 * (n - 1))], threshold);
    double span = high - low;
    if (!(span > 0) || Double.isInfinite(span)) {
      low = Double.isFinite(threshold) ? threshold - 1 : 0;
      high = low + 2;
      span = high - low;
    }
    return new Bins(low - 0.05 * span, high + 0.6 * span, INNER);
  }

  /** All bins. */
  int count() {
    return inner + 2;
  }

  /** The bin of a score; the last for what is no number. */
  int of(double score) {
    if (score < from) {
      return 0;
    }
    if (!(score < to)) {
      return inner + 1;
    }
    return 1 + Math.min(inner - 1, (int) ((score - from) / (to - from) * inner));
  }

  /** The ends of the inner bins, one more than those. */
  double[] edges() {
    double[] edges = new double[inner + 1];
    for (int i = 0; i <= inner; i++) {
      edges[i] = from + (to - from) * i / inner;
    }
    return edges;
  }

  /** How many scores fall into each bin. */
  long[] count(double[] scores) {
    long[] counts = new long[count()];
    for (double score : scores) {
      counts[of(score)]++;
    }
    return counts;
  }
}
