package org.outrigger.guard;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Need;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Fits what a guard says about probabilities: the calibrator on one half of the rows, the label
 * sets on the other, which neither the model nor the calibrator has seen.
 */
final class ProbabilityFit implements AutoCloseable {
  private final Model model;
  private final Dataset validation;
  private final int batchSize;
  private @Nullable Tensor heldOut;

  ProbabilityFit(Model model, Dataset validation, int batchSize) {
    this.model = model;
    this.validation = validation;
    this.batchSize = batchSize;
  }

  /** Fits the calibrator; does nothing without one or without labels. */
  void calibrate(@Nullable Calibrator calibrator, RecordedOutputs fit) {
    if (calibrator == null || fit.labels() == null) {
      return;
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor known = known(fit);
      Tensor logits = fit.output().logits().index_select(0, known);
      Tensor labels = labels(fit).index_select(0, known);
      if (calibrator.needs().contains(Need.INPUTS)) {
        calibrator.fit(model, rows(calibrator, fit), logits, labels);
      } else {
        calibrator.fit(logits, labels);
      }
    }
  }

  /**
   * Fits the label sets.
   *
   * @param target unlabelled data that the guard will be used on, for sets that correct a shift
   */
  void promise(
      ConformalPredictor predictor,
      @Nullable Calibrator calibrator,
      RecordedOutputs holdOut,
      @Nullable Dataset target,
      RecordedOutputs.Options options) {
    if (target != null) {
      if (calibrator != null && calibrator.needs().contains(Need.INPUTS)) {
        throw new OutriggerException(
            calibrator.card().name()
                + " does not go with target data: choose another calibrator, such as temperature.");
      }
      try (RecordedOutputs there = RecordedOutputs.record(model, target, options);
          PointerScope scope = new PointerScope()) {
        Output output = there.output();
        predictor.target(
            Guard.probabilities(model, calibrator, output.logits(), output),
            output.hasFeatures() ? output.features() : null);
      }
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor known = known(holdOut);
      Output output = holdOut.output();
      predictor.fit(
          heldOut(calibrator, holdOut),
          labels(holdOut).index_select(0, known),
          predictor.needs().contains(Need.FEATURES)
              ? output.features().index_select(0, known)
              : null);
    }
  }

  /** Accuracy and calibration before and after, and the mean size of the label sets. */
  Map<String, Double> measure(
      @Nullable Calibrator calibrator,
      @Nullable ConformalPredictor predictor,
      RecordedOutputs holdOut) {
    Map<String, Double> metrics = new LinkedHashMap<>();
    if (holdOut.labels() == null) {
      return metrics;
    }
    try (PointerScope scope = new PointerScope()) {
      Tensor known = known(holdOut);
      Output output = holdOut.output();
      Tensor labels = labels(holdOut).index_select(0, known);
      CalibrationMetrics before =
          CalibrationMetrics.of(
              torch.softmax(output.logits().index_select(0, known).to(torch.ScalarType.Double), 1),
              labels);
      metrics.put("accuracy", before.accuracy());
      metrics.put("eceBefore", before.ece());
      metrics.put("nllBefore", before.nll());
      Tensor probabilities = heldOut(calibrator, holdOut);
      if (calibrator != null) {
        CalibrationMetrics after = CalibrationMetrics.of(probabilities, labels);
        if (!calibrator.keepsRanking()) {
          metrics.put("accuracy", after.accuracy());
        }
        metrics.put("eceAfter", after.ece());
        metrics.put("nllAfter", after.nll());
      }
      if (predictor != null) {
        Tensor sets =
            predictor.sets(
                probabilities,
                predictor.needs().contains(Need.FEATURES)
                    ? output.features().index_select(0, known)
                    : null);
        metrics.put("labelSetSize", sets.to(torch.ScalarType.Double).sum(1).mean().item_double());
      }
    }
    return metrics;
  }

  /** Those of the held-out rows, found once: a calibrator may run the model for them. */
  private Tensor heldOut(@Nullable Calibrator calibrator, RecordedOutputs holdOut) {
    Tensor found = heldOut;
    if (found == null) {
      found = Scopes.own(probabilities(calibrator, holdOut));
      heldOut = found;
    }
    return found;
  }

  @Override
  public void close() {
    Scopes.release(heldOut);
    heldOut = null;
  }

  /** Calibrated probabilities of the labelled rows, float64. */
  private Tensor probabilities(@Nullable Calibrator calibrator, RecordedOutputs outputs) {
    if (calibrator != null && calibrator.needs().contains(Need.INPUTS)) {
      return calibrator
          .probabilities(model, rows(calibrator, outputs), batchSize)
          .to(torch.ScalarType.Double);
    }
    Output known = new Output(outputs.output().logits().index_select(0, known(outputs)), null);
    return Guard.probabilities(model, calibrator, known.logits(), known);
  }

  /** The labelled rows of recorded outputs, in the same order. */
  private Dataset rows(Method method, RecordedOutputs outputs) {
    return outputs.rowsOf(validation, Tensors.ints(known(outputs)), method.card().name());
  }

  /** Positions of the labelled rows, int64 [K]. */
  static Tensor known(RecordedOutputs outputs) {
    return torch.nonzero(labels(outputs).ge(new Scalar(0))).squeeze(1);
  }

  private static Tensor labels(RecordedOutputs outputs) {
    return outputs.requireLabels("The calibrator");
  }
}
