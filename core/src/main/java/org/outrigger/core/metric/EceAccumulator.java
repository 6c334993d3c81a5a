package org.outrigger.core.metric;

import org.outrigger.core.OutriggerException;

/**
 * Expected calibration error and its relatives over equal-width bins (b/B, (b+1)/B], counted in one
 * pass; a confidence of 0 belongs to the first bin, empty bins are ignored. Naeini et al., AAAI
 * 2015; Guo et al., ICML 2017. Not safe for concurrent use: merge.
 */
public final class EceAccumulator {
  /** The usual number of bins. */
  public static final int DEFAULT_BINS = 15;

  private final int bins;
  private final long[] counts;
  private final double[] confidences;
  private final long[] corrects;
  private long total;

  /** An empty accumulator with 15 bins. */
  public EceAccumulator() {
    this(DEFAULT_BINS);
  }

  /**
   * An empty accumulator.
   *
   * @param bins at least 1
   */
  public EceAccumulator(int bins) {
    if (bins < 1) {
      throw new OutriggerException("bins = " + bins + " is out of range: use 1 or more.");
    }
    this.bins = bins;
    counts = new long[bins];
    confidences = new double[bins];
    corrects = new long[bins];
  }

  /** Counts one prediction; its confidence is in [0, 1]. */
  public EceAccumulator add(double confidence, boolean correct) {
    if (!(confidence >= 0 && confidence <= 1)) {
      throw new OutriggerException(
          "A confidence is " + confidence + ", but probabilities are in [0, 1].");
    }
    add(bin(confidence), confidence, correct, 1);
    return this;
  }

  /** Counts a prediction of a known bin several times. */
  void add(int bin, double confidence, boolean correct, int times) {
    counts[bin] += times;
    confidences[bin] += times * confidence;
    corrects[bin] += correct ? times : 0;
    total += times;
  }

  /** Counts many predictions. */
  public EceAccumulator add(TopLabel predictions) {
    for (int i = 0; i < predictions.size(); i++) {
      add(predictions.confidence()[i], predictions.correct()[i]);
    }
    return this;
  }

  int bin(double confidence) {
    int bin = Math.max(0, Math.min(bins - 1, (int) Math.ceil(confidence * bins) - 1));
    // The product above may round across an edge: the edges themselves decide.
    while (bin > 0 && confidence <= edge(bin)) {
      bin--;
    }
    while (bin < bins - 1 && confidence > edge(bin + 1)) {
      bin++;
    }
    return bin;
  }

  private double edge(int bin) {
    return bin / (double) bins;
  }

  /** Adds what another one counted; both have the same bins. */
  public EceAccumulator merge(EceAccumulator other) {
    if (other.bins != bins) {
      throw new OutriggerException(
          "Accumulators of " + bins + " and " + other.bins + " bins cannot be merged.");
    }
    for (int b = 0; b < bins; b++) {
      counts[b] += other.counts[b];
      confidences[b] += other.confidences[b];
      corrects[b] += other.corrects[b];
    }
    total += other.total;
    return this;
  }

  /** How many predictions were counted. */
  public long count() {
    return total;
  }

  /** Expected calibration error: the gaps weighted by their bins' share. */
  public double ece() {
    needRows();
    double sum = 0;
    for (int b = 0; b < bins; b++) {
      sum += counts[b] == 0 ? 0 : counts[b] * gap(b);
    }
    return sum / total;
  }

  /** Maximum calibration error: the largest gap. */
  public double mce() {
    needRows();
    double most = 0;
    for (int b = 0; b < bins; b++) {
      most = counts[b] == 0 ? most : Math.max(most, gap(b));
    }
    return most;
  }

  /** Root mean squared calibration error: the l2 form of {@link #ece}. */
  public double rmsce() {
    needRows();
    double sum = 0;
    for (int b = 0; b < bins; b++) {
      sum += counts[b] == 0 ? 0 : counts[b] * gap(b) * gap(b);
    }
    return Math.sqrt(sum / total);
  }

  /**
   * As {@link #rmsce}, less what chance alone adds: acc (1 - acc) / (n - 1) inside each squared
   * gap, bins of one row left out, the sum at least 0. Kumar et al., NeurIPS 2019.
   */
  public double rmsceDebiased() {
    needRows();
    double sum = 0;
    for (int b = 0; b < bins; b++) {
      if (counts[b] > 1) {
        double accuracy = corrects[b] / (double) counts[b];
        sum += counts[b] * (gap(b) * gap(b) - accuracy * (1 - accuracy) / (counts[b] - 1));
      }
    }
    return Math.sqrt(Math.max(0, sum / total));
  }

  /** Average calibration error: the unweighted mean gap of the bins that are not empty. */
  public double ace() {
    needRows();
    double sum = 0;
    int filled = 0;
    for (int b = 0; b < bins; b++) {
      if (counts[b] > 0) {
        sum += gap(b);
        filled++;
      }
    }
    return sum / filled;
  }

  private double gap(int bin) {
    return Math.abs(corrects[bin] - confidences[bin]) / counts[bin];
  }

  private void needRows() {
    if (total == 0) {
      throw new OutriggerException("There is no prediction: at least one is needed.");
    }
  }

  /** The bins for a reliability diagram. */
  public ReliabilityDiagram diagram() {
    double[] edges = new double[bins + 1];
    double[] accuracy = new double[bins];
    double[] confidence = new double[bins];
    for (int b = 0; b < bins; b++) {
      edges[b + 1] = edge(b + 1);
      // Empty bins have neither: 0 / 0 is NaN.
      accuracy[b] = corrects[b] / (double) counts[b];
      confidence[b] = confidences[b] / counts[b];
    }
    return new ReliabilityDiagram(edges, counts.clone(), accuracy, confidence);
  }
}
