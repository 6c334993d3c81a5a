package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.Calibration;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.RiskCoverage;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Tensors;

/** Calibration figures and maps; outputs of maps that are not built wait. */
public final class CalibrationBaselinesGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "calibration-baselines";
  }

  /** The methods that outputs wait for, by what an output's name holds; the first that fits. */
  private static final Map<String, String> LATER = later();

  private static Map<String, String> later() {
    Map<String, String> later = new LinkedHashMap<>();
    later.put("focal", "focal");
    later.put("vector", "vector-scaling");
    later.put("matrix", "matrix-scaling");
    later.put("dirichlet", "dirichlet");
    later.put("ets", "ensemble-temperature");
    later.put("irm", "isotonic");
    later.put("irova", "isotonic");
    later.put("isotonic", "isotonic");
    later.put("hist", "histogram-binning");
    later.put("beta", "beta-calibration");
    later.put("platt", "platt");
    return later;
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("probs") && golden.hasInput("labels") && golden.hasOutput("ece")) {
      metrics(golden);
    } else if (golden.hasInput("logits") && golden.hasInput("labels")) {
      losses(golden);
    } else if (golden.hasInput("logits_fit") && golden.hasInput("logits_test")) {
      scaling(golden);
    } else if (golden.hasInput("probs_cal") && golden.hasInput("probs_test")) {
      ConformalGolden.check(golden);
    } else if (golden.hasInput("prob_test")) {
      golden.outputs().forEach(output -> later(golden, output));
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void losses(GoldenCase golden) {
    Tensor logits = golden.input("logits").requires_grad_(true);
    Tensor labels = golden.labels("labels");
    for (String output : golden.outputs()) {
      switch (output) {
        case "label_smoothing_ce" -> {
          double[] rows = new double[Math.toIntExact(labels.size(0))];
          for (int i = 0; i < rows.length; i++) {
            rows[i] =
                smoothed(golden, logits.narrow(0, i, 1), labels.narrow(0, i, 1)).item_double();
          }
          golden.expect(output, rows);
        }
        case "label_smoothing_mean_grad" ->
            golden.expect(output, Gradients.of(smoothed(golden, logits, labels), logits));
        default -> later(golden, output);
      }
    }
  }

  private static Tensor smoothed(GoldenCase golden, Tensor logits, Tensor labels) {
    return CrossEntropy.loss(logits, labels, golden.param("label_smoothing"));
  }

  private static void scaling(GoldenCase golden) {
    TemperatureScaling.Settings bounds = TemperatureScaling.Settings.defaults();
    double temperature =
        TemperatureScaling.fit(
            golden.input("logits_fit"),
            golden.labels("labels_fit"),
            bounds.lowest(),
            bounds.highest());
    for (String output : golden.outputs()) {
      switch (output) {
        case "temperature_nll" -> golden.expect(output, temperature);
        case "probs_temperature" ->
            golden.expect(
                output, TemperatureScaling.probabilities(golden.input("logits_test"), temperature));
        default -> later(golden, output);
      }
    }
  }

  /** An output that no entry fits is left unchecked, which the runner reports. */
  private static void later(GoldenCase golden, String output) {
    List<String> words = List.of(output.split("_", -1));
    LATER.entrySet().stream()
        .filter(entry -> words.contains(entry.getKey()))
        .findFirst()
        .ifPresent(entry -> golden.waits(output, entry.getValue()));
  }

  private static void metrics(GoldenCase golden) {
    Tensor probs = golden.input("probs");
    double[][] p = Tensors.rows(probs);
    int[] labels = Tensors.ints(golden.labels("labels"));
    int bins = (int) golden.param("n_bins");
    TopLabel top = TopLabel.of(p, labels);
    EceAccumulator binned = new EceAccumulator(bins).add(top);
    RiskCoverage curve = RiskCoverage.of(top);
    for (String output : golden.outputs()) {
      switch (output) {
        case "ece" -> golden.expect(output, binned.ece());
        case "mce" -> golden.expect(output, binned.mce());
        case "rmsce" -> golden.expect(output, binned.rmsce());
        case "ace_unweighted_bins" -> golden.expect(output, binned.ace());
        case "ece_equal_mass_rank" -> golden.expect(output, Calibration.eceEqualMass(top, bins));
        case "ece_equal_mass_kbins" ->
            golden.expect(output, Calibration.eceQuantileBins(top, bins));
        case "classwise_ece" -> golden.expect(output, Calibration.classwiseEce(p, labels, bins));
        case "ks_error" -> golden.expect(output, Calibration.ks(top));
        case "brier_sum" -> golden.expect(output, Calibration.brierSum(p, labels));
        case "brier_mean" -> golden.expect(output, Calibration.brierMean(p, labels));
        case "nll" -> golden.expect(output, Calibration.nll(p, labels));
        case "accuracy" -> golden.expect(output, 1 - top.error());
        case "auroc_confidence" -> golden.expect(output, Calibration.aurocOfConfidence(top));
        case "aurc" -> golden.expect(output, curve.aurc());
        case "eaurc" -> golden.expect(output, curve.excessAurc());
        case "risk_at_coverage" -> golden.expect(output, curve.risks());
        case "aurc_legacy_code" ->
            golden.deviates(output, "the first public code divides by a count one too large");
        default -> {
          // Left unchecked, which the runner reports.
        }
      }
    }
  }
}
