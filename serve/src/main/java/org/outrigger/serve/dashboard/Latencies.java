package org.outrigger.serve.dashboard;

/**
 * How long answers took, in 64 buckets that grow by a quarter from 0.1 ms on, so that a percentile
 * is right within a few per cent.
 */
final class Latencies implements Mergeable<Latencies> {
  private static final int BUCKETS = 64;
  private static final double FIRST = 0.1;
  private static final double GROWTH = 1.25;

  private final int[] counts = new int[BUCKETS];
  private long total;

  void count(long nanos) {
    double millis = nanos / 1e6;
    int bucket =
        millis <= FIRST ? 0 : (int) Math.ceil(Math.log(millis / FIRST) / Math.log(GROWTH) - 1e-9);
    counts[Math.min(bucket, BUCKETS - 1)]++;
    total++;
  }

  long total() {
    return total;
  }

  /**
   * A percentile in milliseconds; NaN if nothing was counted.
   *
   * @param share in (0, 1)
   */
  double quantile(double share) {
    double wanted = share * total;
    double below = 0;
    for (int i = 0; i < BUCKETS; i++) {
      if (counts[i] > 0 && below + counts[i] >= wanted) {
        double from = i == 0 ? 0 : FIRST * Math.pow(GROWTH, i - 1);
        double to = FIRST * Math.pow(GROWTH, i);
        return from + (to - from) * (wanted - below) / counts[i];
      }
      below += counts[i];
    }
    return Double.NaN;
  }

  @Override
  public void add(Latencies other) {
    for (int i = 0; i < BUCKETS; i++) {
      counts[i] += other.counts[i];
    }
    total += other.total;
  }

  @Override
  public void clear() {
    java.util.Arrays.fill(counts, 0);
    total = 0;
  }
}
