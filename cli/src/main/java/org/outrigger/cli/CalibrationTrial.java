package org.outrigger.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.AutoCalibrator;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.method.Need;
import org.outrigger.core.metric.Bootstrap;
import org.outrigger.core.metric.Calibration;
import org.outrigger.core.metric.CalibrationIntervals;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.RiskCoverage;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * What a calibrator came to.
 *
 * @param name the calibrator, or {@code uncalibrated}
 * @param parameters how many numbers the fit chose
 * @param keepsRanking whether accuracy stays
 * @param sets one for each data set that was measured; the first is like the one it was fitted on
 */
record CalibrationTrial(String name, long parameters, boolean keepsRanking, List<Measured> sets) {
  /**
   * One data set.
   *
   * @param metrics all figures
   * @param ece the calibration error with its interval
   * @param binned the bins of the reliability diagram
   * @param curve risk against coverage
   * @param byClass the calibration error of each class
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Measured(
      CalibrationMetrics metrics,
      Interval ece,
      EceAccumulator binned,
      RiskCoverage curve,
      double[] byClass) {}

  static CalibrationTrial uncalibrated(List<RecordedOutputs> sets, long seed) {
    return new CalibrationTrial(
        "uncalibrated",
        0,
        true,
        measure(sets, set -> torch.softmax(set.logits().to(ScalarType.Double), 1), seed));
  }

  /**
   * Measures a calibrator.
   *
   * @param data what was recorded, for a calibrator that looks at the inputs
   */
  static CalibrationTrial of(
      Calibrator fitted,
      Model model,
      List<RecordedOutputs> sets,
      List<Dataset> data,
      int batchSize,
      long seed) {
    String name = fitted instanceof AutoCalibrator auto ? auto.chosenSlug() : fitted.card().slug();
    return new CalibrationTrial(
        name,
        fitted.parameterCount(),
        fitted.keepsRanking(),
        measure(
            sets,
            set ->
                fitted.needs().contains(Need.INPUTS)
                    ? fitted.probabilities(
                        model, inputs(fitted, set, data.get(sets.indexOf(set))), batchSize)
                    : fitted.probabilities(set.logits().to(ScalarType.Double)),
            seed));
  }

  /** The recorded rows, to be read again. */
  static Dataset inputs(Calibrator calibrator, RecordedOutputs set, Dataset data) {
    int[] all = IntStream.range(0, Math.toIntExact(set.size())).toArray();
    return set.rowsOf(data, all, calibrator.card().name());
  }

  private static List<Measured> measure(
      List<RecordedOutputs> sets, Function<RecordedOutputs, Tensor> map, long seed) {
    List<Measured> all = new ArrayList<>();
    for (RecordedOutputs set : sets) {
      all.add(
          Scopes.scoped(
              () -> {
                double[][] p = Tensors.rows(map.apply(set).to(ScalarType.Double));
                int[] labels = Tensors.ints(set.labels("The calibration error"));
                TopLabel top = TopLabel.of(p, labels);
                int bins = EceAccumulator.DEFAULT_BINS;
                return new Measured(
                    CalibrationMetrics.of(p, labels, bins),
                    CalibrationIntervals.of(p, labels, bins, Bootstrap.of(seed)).of("ece"),
                    new EceAccumulator(bins).add(top),
                    RiskCoverage.of(top),
                    Calibration.eceByClass(p, labels, bins));
              }));
    }
    return all;
  }
}
