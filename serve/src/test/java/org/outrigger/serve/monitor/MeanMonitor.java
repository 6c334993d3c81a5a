package org.outrigger.serve.monitor;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.State;
import org.outrigger.serve.JudgedBatch;

/** Compares the mean input and the errors of ten rows with fixed figures. */
final class MeanMonitor implements Monitor {
  static final int WINDOW = 10;

  private final String reference;
  private final double mean;
  private final @Nullable CountDownLatch gate;
  private double sum;
  private double scores;
  private double unknown;
  private int rows;
  private double wrongs;
  private int labels;

  /**
   * @param gate holds it up until it opens; null for none
   */
  MeanMonitor(String reference, double mean, @Nullable CountDownLatch gate) {
    this.reference = reference;
    this.mean = mean;
    this.gate = gate;
  }

  @Override
  public String fingerprint() {
    return reference;
  }

  @Override
  public List<Window> observe(JudgedBatch batch) {
    if (gate != null) {
      try {
        gate.await();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    List<Window> windows = new ArrayList<>();
    for (JudgedBatch.Request request : batch.requests()) {
      int length = request.inputs().length / request.rows();
      for (int i = 0; i < request.rows(); i++) {
        for (int j = 0; j < length; j++) {
          sum += request.inputs()[i * length + j] / length;
        }
        scores += request.verdicts().get(i).score();
        unknown += request.verdicts().get(i).unknown() ? 1 : 0;
        rows++;
        if (rows == WINDOW) {
          windows.add(inputs(batch.at()));
        }
      }
    }
    return windows;
  }

  private Window inputs(Instant at) {
    double effect = Math.abs(sum / WINDOW - mean);
    Window window =
        new Window(
            at,
            WINDOW,
            unknown / WINDOW,
            scores / WINDOW,
            List.of(channel("inputs", effect, 0.2), channel("predictions", 0, 0.2)));
    sum = 0;
    scores = 0;
    unknown = 0;
    rows = 0;
    return window;
  }

  private static Channel channel(String name, double effect, double threshold) {
    return new Channel(
        name,
        "mean",
        effect,
        Double.NaN,
        threshold,
        effect,
        effect > threshold,
        List.of(new Feature("mean", 0, effect, effect)),
        "The " + name + " changed.");
  }

  @Override
  public List<Window> errors(boolean[] wrong, Instant at) {
    List<Window> windows = new ArrayList<>();
    for (boolean each : wrong) {
      wrongs += each ? 1 : 0;
      labels++;
      if (labels == WINDOW) {
        windows.add(
            new Window(
                at,
                WINDOW,
                Double.NaN,
                Double.NaN,
                List.of(channel("errors", wrongs / WINDOW, 0.5))));
        wrongs = 0;
        labels = 0;
      }
    }
    return windows;
  }

  @Override
  public int pending() {
    return rows;
  }

  @Override
  public State state() {
    return new State(
        "mean-monitor",
        1,
        Map.of(
            "sum", sum, "scores", scores, "unknown", unknown, "rows", rows, "wrongs", wrongs,
            "labels", labels),
        Map.of());
  }

  @Override
  public void restore(State state) {
    state.expect("mean-monitor", 1);
    sum = state.number("sum");
    scores = state.number("scores");
    unknown = state.number("unknown");
    rows = (int) state.number("rows");
    wrongs = state.number("wrongs");
    labels = (int) state.number("labels");
  }

  @Override
  public void close() {}
}
