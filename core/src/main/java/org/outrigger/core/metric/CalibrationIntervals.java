package org.outrigger.core.metric;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Bootstrap intervals of the figures of {@link CalibrationMetrics}, by name: {@code accuracy},
 * {@code ece}, {@code mce}, {@code rmsce}, {@code rmsceDebiased}, {@code ace}, {@code
 * eceEqualMass}, {@code classwiseEce}, {@code ks}, {@code brierSum}, {@code brierTopLabel}, {@code
 * nll}, {@code aurc}, {@code excessAurc} and {@code aurocOfConfidence}. Rows are sorted once, and a
 * resample is one walk over them, so that 1000 resamples of 50,000 rows take seconds.
 *
 * <p>Calibration errors are absolute gaps, which chance alone makes larger: their intervals tell
 * how much a figure would move on other rows, and may lie above the estimate.
 *
 * @param intervals by name
 */
public record CalibrationIntervals(Map<String, Interval> intervals) {
  private static final String CLASSWISE = "classwiseEce";

  /** Above this many probabilities a pass, the classwise error is resampled less often. */
  private static final long BUDGET = 1_000_000_000L;

  /** The interval of that name. */
  public Interval of(String name) {
    return Objects.requireNonNull(intervals.get(name), name);
  }

  /**
   * All intervals.
   *
   * @param probabilities [N][K], rows that sum to 1 within 1e-6
   * @param labels [N]
   * @param bins of the binned figures
   */
  public static CalibrationIntervals of(
      double[][] probabilities, int[] labels, int bins, Bootstrap bootstrap) {
    WeightedRows rows = new WeightedRows(probabilities, labels, bins);
    Map<String, Interval> all = new LinkedHashMap<>(bootstrap.counts(labels.length, rows::figures));
    long cost = (long) labels.length * probabilities[0].length;
    int affordable = (int) Math.min(bootstrap.resamples(), Math.max(50, BUDGET / cost));
    Bootstrap fewer = new Bootstrap(affordable, bootstrap.level(), bootstrap.seed());
    all.putAll(fewer.counts(labels.length, counts -> Map.of(CLASSWISE, rows.classwiseEce(counts))));
    return new CalibrationIntervals(all);
  }
}
