package org.outrigger.core.metric;

import org.outrigger.core.OutriggerException;

/**
 * Risk against coverage: the error rate among the j most confident rows, for every j. Equal
 * confidences keep the order of the input. Geifman et al., ICLR 2019 (with the divisor j, where the
 * first public code has one too many).
 *
 * @param risks [N]; {@code risks[j - 1]} belongs to coverage j / N
 */
@SuppressWarnings("ArrayRecordComponent")
public record RiskCoverage(double[] risks) {
  /** From top-label predictions. */
  public static RiskCoverage of(TopLabel predictions) {
    double[] risks = new double[predictions.size()];
    int wrong = 0;
    int rows = 0;
    for (int i : predictions.descending()) {
      wrong += predictions.correct()[i] ? 0 : 1;
      rows++;
      risks[rows - 1] = wrong / (double) rows;
    }
    return new RiskCoverage(risks);
  }

  /** Area under the curve: the mean risk over all coverages. */
  public double aurc() {
    double sum = 0;
    for (double risk : risks) {
      sum += risk;
    }
    return sum / risks.length;
  }

  /** {@link #aurc} above that of a perfect order of the same predictions. */
  public double excessAurc() {
    double error = risks[risks.length - 1];
    return aurc() - bestAurc(error);
  }

  /** The area under the curve of a perfect order. */
  static double bestAurc(double error) {
    return error == 1 ? 1 : error + (1 - error) * Math.log1p(-error);
  }

  /**
   * The risk when the most confident share of the rows is kept, rounded up to whole rows.
   *
   * @param coverage in (0, 1]
   */
  public double riskAt(double coverage) {
    if (!(coverage > 0 && coverage <= 1)) {
      throw new OutriggerException(
          "coverage = " + coverage + " is out of range: use a value in (0, 1].");
    }
    int rows = (int) Math.ceil(coverage * risks.length - 1e-9);
    return risks[Math.max(1, rows) - 1];
  }
}
