package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a test of a batch came to.
 *
 * @param test the slug of the test
 * @param drift the decision
 * @param statistic of the whole; the largest of the features' where they are tested one by one
 * @param pValue of the whole: the smallest of the features', to be compared with the threshold; NaN
 *     where a fixed threshold decides
 * @param threshold the p-value below which, or the statistic above which, there is drift
 * @param features what each feature came to; empty where a test does not look at single features
 */
public record DriftTestResult(
    String test,
    boolean drift,
    double statistic,
    double pValue,
    double threshold,
    Feature... features) {

  /**
   * What one feature came to.
   *
   * @param statistic of this feature: larger differs more
   * @param pValue NaN where a fixed threshold decides
   * @param drift whether this feature alone is beyond the threshold
   */
  public record Feature(double statistic, double pValue, boolean drift) {}

  /** As JSON types. */
  public Map<String, Object> toJson() {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("test", test);
    all.put("drift", drift);
    all.put("statistic", statistic);
    all.put("pValue", pValue);
    all.put("threshold", threshold);
    all.put("features", features);
    return all;
  }
}
