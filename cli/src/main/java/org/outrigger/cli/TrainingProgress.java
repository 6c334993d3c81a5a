package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Batches;
import org.outrigger.core.optim.TrainingListener;

/** A training run on a progress bar: epoch, loss, accuracy and the time left. */
final class TrainingProgress implements TrainingListener, AutoCloseable {
  private static final double SMOOTHING = 0.9;

  private final PrintWriter err;
  private final String data;
  private @Nullable Progress bar;
  private double loss = Double.NaN;
  private double accuracy = Double.NaN;
  private String validated = "";

  TrainingProgress(PrintWriter err, String data) {
    this.err = err;
    this.data = data;
  }

  @Override
  public void started(Plan plan, long done) {
    bar = new Progress("Training", plan.totalSteps());
    bar.to(done);
  }

  @Override
  public void warned(String warning) {
    err.println("Warning: " + warning);
  }

  @Override
  public void stepped(Plan plan, Step step) {
    loss = smooth(loss, step.loss());
    accuracy = smooth(accuracy, step.accuracy());
    if (bar != null) {
      bar.to(step.epoch() * plan.stepsPerEpoch() + step.step() + 1);
      bar.say(
          String.format(
              Locale.ROOT,
              "epoch %d/%d, loss %.3f, accuracy %.1f %%%s",
              step.epoch() + 1,
              plan.epochs(),
              loss,
              100 * accuracy,
              validated));
    }
  }

  private static double smooth(double old, double now) {
    return Double.isNaN(now) ? old : Double.isNaN(old) ? now : SMOOTHING * old + 0.1 * now;
  }

  @Override
  public void skipped(Plan plan, int epoch, List<Batches.Skipped> rows) {
    if (epoch == 0) {
      Skips.report(err, data, rows);
    }
  }

  @Override
  public void epochEnded(Plan plan, Epoch epoch) {
    if (epoch.validation() != null) {
      validated =
          String.format(Locale.ROOT, ", validation %.1f %%", 100 * epoch.validation().accuracy());
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
    }
  }
}
