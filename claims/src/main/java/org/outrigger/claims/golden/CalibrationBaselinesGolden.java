package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.Calibration;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.RiskCoverage;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.torch.Tensors;

/** Calibration figures, losses, maps and conformal sets. */
public final class CalibrationBaselinesGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "calibration-baselines";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("probs") && golden.hasInput("labels") && golden.hasOutput("ece")) {
      metrics(golden);
    } else if (golden.hasInput("logits") && golden.hasInput("labels")) {
      CalibrationMapsGolden.losses(golden);
    } else if (golden.hasInput("logits_fit") && golden.hasInput("logits_test")) {
      CalibrationMapsGolden.scaling(golden);
    } else if (golden.hasInput("probs_cal") && golden.hasInput("probs_test")) {
      ConformalGolden.check(golden);
    } else if (golden.hasInput("prob_test")) {
      CalibrationMapsGolden.binary(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
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
