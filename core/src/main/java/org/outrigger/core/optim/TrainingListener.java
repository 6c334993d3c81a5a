package org.outrigger.core.optim;

import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Batches;

/** Follows a training run, for progress bars and logs. What it throws stops the run. */
public interface TrainingListener {
  /**
   * The size of a run.
   *
   * @param epochs passes over the training data
   * @param stepsPerEpoch batches of one pass
   */
  record Plan(int epochs, long stepsPerEpoch) {
    public long totalSteps() {
      return epochs * stepsPerEpoch;
    }
  }

  /**
   * After one step.
   *
   * @param epoch from 0
   * @param step within the epoch, from 0
   * @param loss of this batch
   * @param accuracy of this batch's rows that have a class, on the way to this step; NaN if none
   * @param learningRate the base learning rate times the schedule's factor
   * @param eta the time to the end of the last epoch at the pace so far
   */
  record Step(
      int epoch, long step, double loss, double accuracy, double learningRate, Duration eta) {}

  /**
   * After one epoch.
   *
   * @param epoch from 0
   * @param loss mean over the epoch's steps
   * @param accuracy of the epoch's rows that have a class; NaN if none
   * @param validation on the validation data, if there is any
   * @param best whether the validation score is the best so far
   */
  record Epoch(
      int epoch, double loss, double accuracy, @Nullable Validation validation, boolean best) {}

  /**
   * @param loss the objective's mean
   * @param accuracy of the rows that have a class; NaN if none
   */
  record Validation(double loss, double accuracy) {}

  /**
   * A finished run.
   *
   * @param epochs all epochs, also those before a resume
   * @param bestEpoch the epoch of the best validation score, -1 without validation data
   * @param stoppedEarly whether patience ran out
   * @param steps in all
   */
  record Report(List<Epoch> epochs, int bestEpoch, boolean stoppedEarly, long steps) {
    public Report {
      epochs = List.copyOf(epochs);
    }
  }

  /** Before the first step; {@code done} steps are there already from a checkpoint. */
  default void started(Plan plan, long done) {}

  /** Before the first step, something that is allowed and probably not wanted, in a sentence. */
  default void warned(String warning) {}

  default void stepped(Plan plan, Step step) {}

  /** At the end of an epoch in which rows could not be read, which were left out. */
  default void skipped(Plan plan, int epoch, List<Batches.Skipped> rows) {}

  default void epochEnded(Plan plan, Epoch epoch) {}

  default void finished(Report report) {}
}
