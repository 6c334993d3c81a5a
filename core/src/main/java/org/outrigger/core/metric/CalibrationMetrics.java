package org.outrigger.core.metric;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * The calibration figures of one set of predictions; all but accuracy and the AUROC of confidence
 * are better when smaller.
 *
 * @param count rows
 * @param bins bins of the binned figures
 * @param accuracy share of right top labels
 * @param ece expected calibration error, equal-width bins
 * @param mce maximum calibration error
 * @param rmsce root mean squared calibration error
 * @param ace average calibration error
 * @param eceEqualMass expected calibration error, equal-mass bins
 * @param classwiseEce mean over classes
 * @param ks Kolmogorov-Smirnov calibration error
 * @param brierSum Brier score summed over classes
 * @param nll negative log-likelihood in nats
 * @param aurc area under the risk-coverage curve
 * @param excessAurc the same above that of a perfect order
 * @param aurocOfConfidence how well confidence tells right from wrong; NaN if all are alike
 */
public record CalibrationMetrics(
    int count,
    int bins,
    double accuracy,
    double ece,
    double mce,
    double rmsce,
    double ace,
    double eceEqualMass,
    double classwiseEce,
    double ks,
    double brierSum,
    double nll,
    double aurc,
    double excessAurc,
    double aurocOfConfidence) {

  /**
   * All figures, with 15 bins.
   *
   * @param probabilities [N, K], rows that sum to 1 within 1e-6
   * @param labels int64 [N]
   */
  public static CalibrationMetrics of(Tensor probabilities, Tensor labels) {
    Shapes.check()
        .tensor("The probabilities", probabilities, "N", "K")
        .tensor("The labels", labels, "N");
    return of(Tensors.rows(probabilities), Tensors.ints(labels), EceAccumulator.DEFAULT_BINS);
  }

  /** All figures. */
  public static CalibrationMetrics of(double[][] probabilities, int[] labels, int bins) {
    TopLabel top = TopLabel.of(probabilities, labels);
    EceAccumulator binned = new EceAccumulator(bins).add(top);
    RiskCoverage curve = RiskCoverage.of(top);
    return new CalibrationMetrics(
        top.size(),
        bins,
        1 - top.error(),
        binned.ece(),
        binned.mce(),
        binned.rmsce(),
        binned.ace(),
        Calibration.eceEqualMass(top, bins),
        Calibration.classwiseEce(probabilities, labels, bins),
        Calibration.ks(top),
        Calibration.brierSum(probabilities, labels),
        Calibration.nll(probabilities, labels),
        curve.aurc(),
        curve.excessAurc(),
        Calibration.aurocOfConfidence(top));
  }
}
