package org.outrigger.core.metric;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;

/**
 * How far probabilities are from frequencies, where {@link EceAccumulator} does not say it in one
 * pass: figures that sort, that look at every class, and proper scores.
 */
public final class Calibration {
  private Calibration() {}

  /** Expected calibration error over {@code bins} equal-width bins. */
  public static double ece(TopLabel predictions, int bins) {
    return new EceAccumulator(bins).add(predictions).ece();
  }

  /**
   * Expected calibration error over bins of equal mass: rows sorted by confidence (stable) and
   * split into groups whose sizes differ by at most 1, the first groups being the larger ones.
   */
  public static double eceEqualMass(TopLabel predictions, int bins) {
    checkBins(bins);
    int n = predictions.size();
    int[] order = predictions.ascending();
    double sum = 0;
    int from = 0;
    for (int b = 0; b < bins; b++) {
      int to = from + n / bins + (b < n % bins ? 1 : 0);
      sum += weightedGap(predictions, order, from, to);
      from = to;
    }
    return sum / n;
  }

  /**
   * Expected calibration error over bins whose edges are the quantiles b/B of the confidence
   * (linear interpolation); bins are open on the right but for the last, equal edges are one.
   */
  public static double eceQuantileBins(TopLabel predictions, int bins) {
    checkBins(bins);
    int n = predictions.size();
    int[] order = predictions.ascending();
    double[] sorted = Arrays.stream(order).mapToDouble(i -> predictions.confidence()[i]).toArray();
    double sum = 0;
    int from = 0;
    for (int b = 1; b <= bins; b++) {
      double edge = Quantiles.ofSorted(sorted, b / (double) bins);
      int to = from;
      while (to < n && (edge >= sorted[n - 1] || sorted[to] < edge)) {
        to++;
      }
      sum += weightedGap(predictions, order, from, to);
      from = to;
    }
    return sum / n;
  }

  /** The number of rows times their gap: the absolute sum of what confidence is too high. */
  private static double weightedGap(TopLabel predictions, int[] order, int from, int to) {
    double sum = 0;
    for (int j = from; j < to; j++) {
      sum += excess(predictions, order[j]);
    }
    return Math.abs(sum);
  }

  private static double excess(TopLabel predictions, int row) {
    return predictions.confidence()[row] - (predictions.correct()[row] ? 1 : 0);
  }

  /**
   * Kolmogorov-Smirnov calibration error: the largest absolute cumulated excess of confidence, rows
   * in ascending order of confidence (stable). Needs no bins. Gupta et al., ICLR 2021.
   */
  public static double ks(TopLabel predictions) {
    double sum = 0;
    double most = 0;
    for (int row : predictions.ascending()) {
      sum += excess(predictions, row);
      most = Math.max(most, Math.abs(sum));
    }
    return most / predictions.size();
  }

  /** Mean squared difference of confidence and outcome, in [0, 1]. */
  public static double brierTopLabel(TopLabel predictions) {
    double sum = 0;
    for (int i = 0; i < predictions.size(); i++) {
      double excess = excess(predictions, i);
      sum += excess * excess;
    }
    return sum / predictions.size();
  }

  /**
   * How well confidence tells right from wrong predictions: P(right more confident than wrong), a
   * tie counting one half. NaN if all are right or all are wrong, where it is not defined.
   */
  public static double aurocOfConfidence(TopLabel predictions) {
    double[] right = confidences(predictions, true);
    double[] wrong = confidences(predictions, false);
    return right.length == 0 || wrong.length == 0 ? Double.NaN : Auroc.of(wrong, right);
  }

  private static double[] confidences(TopLabel predictions, boolean correct) {
    double[] out = new double[predictions.size()];
    int n = 0;
    for (int i = 0; i < predictions.size(); i++) {
      if (predictions.correct()[i] == correct) {
        out[n++] = predictions.confidence()[i];
      }
    }
    return Arrays.copyOf(out, n);
  }

  /**
   * Classwise (static) expected calibration error: for each class the error of its probability
   * against "is it this class", all rows taking part; the mean over classes. Nixon et al., 2019.
   *
   * @param probabilities [N][K], rows that sum to 1
   * @param labels [N]
   */
  public static double classwiseEce(double[][] probabilities, int[] labels, int bins) {
    return Arrays.stream(eceByClass(probabilities, labels, bins)).average().orElseThrow();
  }

  /**
   * The error of each class's probability, which {@link #classwiseEce} is the mean of.
   *
   * @param probabilities [N][K], rows that sum to 1
   * @param labels [N]
   * @return [K]
   */
  public static double[] eceByClass(double[][] probabilities, int[] labels, int bins) {
    TopLabel.checkProbabilities(probabilities, labels);
    double[] errors = new double[probabilities[0].length];
    for (int k = 0; k < errors.length; k++) {
      EceAccumulator accumulator = new EceAccumulator(bins);
      for (int i = 0; i < labels.length; i++) {
        accumulator.add(Math.min(1, probabilities[i][k]), labels[i] == k);
      }
      errors[k] = accumulator.ece();
    }
    return errors;
  }

  /** Brier score summed over classes, in [0, 2]. */
  public static double brierSum(double[][] probabilities, int[] labels) {
    TopLabel.checkProbabilities(probabilities, labels);
    double sum = 0;
    for (int i = 0; i < labels.length; i++) {
      for (int k = 0; k < probabilities[i].length; k++) {
        double difference = probabilities[i][k] - (labels[i] == k ? 1 : 0);
        sum += difference * difference;
      }
    }
    return sum / labels.length;
  }

  /** Brier score as a mean over classes: {@link #brierSum} / K. */
  public static double brierMean(double[][] probabilities, int[] labels) {
    return brierSum(probabilities, labels) / probabilities[0].length;
  }

  /** Negative log-likelihood in nats; a probability below 1e-12 counts as that. */
  public static double nll(double[][] probabilities, int[] labels) {
    TopLabel.checkProbabilities(probabilities, labels);
    double sum = 0;
    for (int i = 0; i < labels.length; i++) {
      sum -= Math.log(Math.max(probabilities[i][labels[i]], 1e-12));
    }
    return sum / labels.length;
  }

  private static void checkBins(int bins) {
    if (bins < 1) {
      throw new OutriggerException("bins = " + bins + " is out of range: use 1 or more.");
    }
  }
}
