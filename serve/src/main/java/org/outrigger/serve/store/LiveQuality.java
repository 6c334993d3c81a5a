package org.outrigger.serve.store;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.ReliabilityDiagram;

/**
 * How well a guard did on rows whose labels came.
 *
 * @param labelled how many rows
 * @param accuracy the share of right predictions; NaN without rows
 * @param ece expected calibration error over 15 bins of equal width; NaN without rows
 * @param brier mean squared difference of probability and outcome of the predicted class
 * @param nll mean negative log-likelihood of that outcome, in nats
 * @param bins of the probability of the predicted class
 * @param accepted rows that the guard knew
 * @param unknown rows that it found unknown
 */
public record LiveQuality(
    long labelled,
    double accuracy,
    double ece,
    double brier,
    double nll,
    List<Bin> bins,
    Outcomes accepted,
    Outcomes unknown) {

  /**
   * A bin (from, to].
   *
   * @param confidence mean of its rows; NaN if it is empty
   * @param accuracy of its rows; NaN if it is empty
   */
  public record Bin(double from, double to, long count, double confidence, double accuracy) {}

  /** Rows, and how many of them were predicted wrongly. */
  public record Outcomes(long rows, long wrong) {}

  /** As JSON types; what is not defined is null. */
  public Map<String, Object> json() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("labelled", labelled);
    put(json, "accuracy", accuracy);
    put(json, "ece", ece);
    put(json, "brier", brier);
    put(json, "nll", nll);
    List<Map<String, Object>> all = new ArrayList<>();
    for (Bin bin : bins) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("from", bin.from);
      one.put("to", bin.to);
      one.put("count", bin.count);
      put(one, "confidence", bin.confidence);
      put(one, "accuracy", bin.accuracy);
      all.add(one);
    }
    json.put("bins", all);
    json.put("accepted", Map.of("rows", accepted.rows, "wrong", accepted.wrong));
    json.put("unknown", Map.of("rows", unknown.rows, "wrong", unknown.wrong));
    return json;
  }

  private static void put(Map<String, Object> json, String key, double value) {
    json.put(key, Double.isNaN(value) ? null : value);
  }

  /** Counts row by row. */
  static final class Counter {
    private final EceAccumulator calibration = new EceAccumulator();
    private final long[] rows = new long[2];
    private final long[] wrong = new long[2];
    private double squares;
    private double logs;

    Counter add(double probability, boolean correct, boolean unknown) {
      // What rounding left outside; NaN counts as not sure at all.
      double p = probability > 0 ? Math.min(1, probability) : 0;
      calibration.add(p, correct);
      int which = unknown ? 1 : 0;
      rows[which]++;
      wrong[which] += correct ? 0 : 1;
      double excess = p - (correct ? 1 : 0);
      squares += excess * excess;
      logs -= Math.log(Math.max(correct ? p : 1 - p, 1e-12));
      return this;
    }

    LiveQuality quality() {
      long n = calibration.count();
      ReliabilityDiagram diagram = calibration.diagram();
      List<Bin> bins = new ArrayList<>();
      for (int b = 0; b < diagram.counts().length; b++) {
        bins.add(
            new Bin(
                diagram.edges()[b],
                diagram.edges()[b + 1],
                diagram.counts()[b],
                diagram.confidence()[b],
                diagram.accuracy()[b]));
      }
      return new LiveQuality(
          n,
          1 - (wrong[0] + wrong[1]) / (double) n,
          n == 0 ? Double.NaN : calibration.ece(),
          squares / n,
          logs / n,
          bins,
          new Outcomes(rows[0], wrong[0]),
          new Outcomes(rows[1], wrong[1]));
    }
  }
}
