package org.outrigger.serve.monitor;

import java.time.Instant;
import java.util.List;
import org.outrigger.core.io.Stateful;
import org.outrigger.serve.JudgedBatch;

/**
 * Gathers traffic of one guard into windows and compares each with the guard's reference. Used by
 * one thread at a time.
 */
public interface Monitor extends Stateful, AutoCloseable {
  /**
   * One channel of a window: inputs, scores, predictions or errors.
   *
   * @param name of the channel
   * @param method the slug of the test or detector
   * @param statistic of the method
   * @param pValue of the method; NaN if it has none
   * @param threshold that decides
   * @param effect how large the change is
   * @param drifting whether it differs from the reference
   * @param features what changed most, the largest first
   * @param message one sentence for people
   */
  record Channel(
      String name,
      String method,
      double statistic,
      double pValue,
      double threshold,
      double effect,
      boolean drifting,
      List<Feature> features,
      String message) {
    public Channel {
      features = List.copyOf(features);
    }
  }

  /**
   * One watched value.
   *
   * @param before its mean in the reference
   * @param after its mean in the window
   * @param effect how large the change is
   */
  record Feature(String name, double before, double after, double effect) {}

  /**
   * A window that is complete.
   *
   * @param at when its last row was judged
   * @param rows of it
   * @param unknown the share of unknown rows; NaN if only labels came
   * @param score the mean score; NaN if only labels came
   * @param channels what was compared
   */
  record Window(Instant at, int rows, double unknown, double score, List<Channel> channels) {
    public Window {
      channels = List.copyOf(channels);
    }
  }

  /** What it compares with; two references of one fingerprint are the same. */
  String fingerprint();

  /** Takes rows; returns the windows that they completed. */
  List<Window> observe(JudgedBatch batch);

  /** Takes which rows were judged wrongly; returns the windows that they completed. */
  List<Window> errors(boolean[] wrong, Instant at);

  /** How many rows the window has that is not complete. */
  int pending();

  @Override
  void close();
}
