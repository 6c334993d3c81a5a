package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.Calibration;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.RiskCoverage;
import org.outrigger.core.metric.TopLabel;
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
    later.put("lac", "lac");
    later.put("aps", "aps");
    later.put("raps", "raps");
    return later;
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("probs") && golden.hasInput("labels") && golden.hasOutput("ece")) {
      metrics(golden);
    } else if (golden.hasInput("logits") && golden.hasInput("labels")) {
      CalibrationMapsGolden.losses(golden);
    } else if (golden.hasInput("logits_fit") && golden.hasInput("logits_test")) {
      CalibrationMapsGolden.scaling(golden);
    } else if (golden.hasInput("prob_test")) {
      CalibrationMapsGolden.binary(golden);
    } else if (golden.hasInput("probs_cal")) {
      golden.outputs().forEach(output -> later(golden, output));
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
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
