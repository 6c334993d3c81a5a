package org.outrigger.guard;

import java.time.Instant;
import java.util.List;

/**
 * Something about a guard's traffic is no longer what it was.
 *
 * @param at the time of the last row that was looked at
 * @param window the number of the window, from 0; of labels for the channel {@code errors}
 * @param first whether the channel was quiet in the window before: an alarm that has just begun
 * @param channel {@code inputs}, {@code scores}, {@code unknown}, {@code predictions}, {@code
 *     confidence} or {@code errors}
 * @param method the slug of the test or detector
 * @param statistic of it
 * @param pValue of the channel, corrected for its features; NaN where a fixed threshold decides
 * @param threshold the p-value below which there is drift, corrected for the channels; NaN where
 *     the method decides by itself
 * @param effect how much: inputs, scores and confidence in standard deviations of the reference
 *     (Wasserstein distance with the sign of the difference of the means); predictions as
 *     population stability index; unknown and errors as difference of the rates
 * @param before mean score, mean confidence or rate in the reference; NaN for inputs and
 *     predictions, and where it is not known
 * @param after the same now
 * @param features what changed most, the largest effect first; empty where there is one value a row
 * @param message one sentence for people
 */
public record Change(
    Instant at,
    long window,
    boolean first,
    String channel,
    String method,
    double statistic,
    double pValue,
    double threshold,
    double effect,
    double before,
    double after,
    List<Feature> features,
    String message) {
  public Change {
    features = List.copyOf(features);
  }

  /**
   * A feature, or a class among the predictions.
   *
   * @param name for people
   * @param before its mean, or the share of predictions, in the reference
   * @param after the same now
   * @param effect in standard deviations of the reference
   */
  public record Feature(String name, double before, double after, double effect) {}
}
