package org.outrigger.guard;

import java.time.Instant;
import java.util.List;

/**
 * Rows that were compared with the reference together.
 *
 * @param number from 0
 * @param from the time of its first row
 * @param to the time of its last row
 * @param rows how many it has
 * @param unknownRate the share of unknown rows
 * @param meanScore of the rows whose score is finite; NaN if none is
 * @param meanConfidence the mean probability of the predicted class
 * @param inputEffects of each watched feature, in standard deviations of the reference; empty if
 *     inputs are not watched
 * @param predicted the share of each predicted class
 * @param estimated the share of each true class, estimated from the predictions by black-box shift
 *     estimation; empty where the reference has no labels of every class
 * @param channels what the tests came to, whether there is drift or not
 */
public record MonitoredWindow(
    long number,
    Instant from,
    Instant to,
    int rows,
    double unknownRate,
    double meanScore,
    double meanConfidence,
    List<Double> inputEffects,
    List<Double> predicted,
    List<Double> estimated,
    List<Channel> channels) {
  public MonitoredWindow {
    inputEffects = List.copyOf(inputEffects);
    predicted = List.copyOf(predicted);
    estimated = List.copyOf(estimated);
    channels = List.copyOf(channels);
  }

  /**
   * What the test of a channel came to.
   *
   * @param beyond whether it is beyond its threshold in this window
   * @param drift whether enough of the last windows are, this one included
   * @param change the figures
   */
  public record Channel(boolean beyond, boolean drift, Change change) {}

  /** Whether any channel drifts. */
  public boolean drift() {
    return channels.stream().anyMatch(Channel::drift);
  }
}
