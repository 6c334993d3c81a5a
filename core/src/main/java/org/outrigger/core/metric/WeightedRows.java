package org.outrigger.core.metric;

import java.util.LinkedHashMap;
import java.util.Map;

/** Predictions that count several times, or not at all: what a resample is. */
final class WeightedRows {
  private final double[][] probabilities;
  private final int[] labels;
  private final int bins;
  private final TopLabel top;
  private final int[] order;
  private final int[] bin;
  private final double[] nll;
  private final double[] brier;

  WeightedRows(double[][] probabilities, int[] labels, int bins) {
    this.probabilities = probabilities;
    this.labels = labels;
    this.bins = bins;
    top = TopLabel.of(probabilities, labels);
    order = top.ascending();
    EceAccumulator edges = new EceAccumulator(bins);
    bin = new int[labels.length];
    nll = new double[labels.length];
    brier = new double[labels.length];
    for (int i = 0; i < labels.length; i++) {
      bin[i] = edges.bin(top.confidence()[i]);
      nll[i] = -Math.log(Math.max(probabilities[i][labels[i]], 1e-12));
      for (int k = 0; k < probabilities[i].length; k++) {
        double difference = probabilities[i][k] - (labels[i] == k ? 1 : 0);
        brier[i] += difference * difference;
      }
    }
  }

  /** All figures but the classwise error, in one walk by ascending confidence. */
  Map<String, Double> figures(int[] counts) {
    int n = labels.length;
    Map<String, Double> all = new LinkedHashMap<>();
    EceAccumulator binned = new EceAccumulator(bins);
    double losses = 0;
    double squares = 0;
    double topSquares = 0;
    double cumulated = 0;
    double ks = 0;
    long right = 0;
    for (int i : order) {
      if (counts[i] == 0) {
        continue;
      }
      boolean correct = top.correct()[i];
      double excess = top.confidence()[i] - (correct ? 1 : 0);
      binned.add(bin[i], top.confidence()[i], correct, counts[i]);
      losses += counts[i] * nll[i];
      squares += counts[i] * brier[i];
      topSquares += counts[i] * excess * excess;
      right += correct ? counts[i] : 0;
      // Copies of a row follow one another, so the largest sum is at an end of theirs.
      cumulated += counts[i] * excess;
      ks = Math.max(ks, Math.abs(cumulated));
    }
    double aurc = aurc(counts);
    double error = 1 - right / (double) n;
    all.put("accuracy", 1 - error);
    all.put("ece", binned.ece());
    all.put("mce", binned.mce());
    all.put("rmsce", binned.rmsce());
    all.put("rmsceDebiased", binned.rmsceDebiased());
    all.put("ace", binned.ace());
    all.put("eceEqualMass", eceEqualMass(counts));
    all.put("ks", ks / n);
    all.put("brierSum", squares / n);
    all.put("brierTopLabel", topSquares / n);
    all.put("nll", losses / n);
    all.put("aurc", aurc);
    all.put("excessAurc", aurc - RiskCoverage.bestAurc(error));
    all.put("aurocOfConfidence", auroc(counts, right));
    return all;
  }

  private double eceEqualMass(int[] counts) {
    int n = labels.length;
    double sum = 0;
    int group = 0;
    int left = size(group, n);
    double gap = 0;
    for (int i : order) {
      double excess = top.confidence()[i] - (top.correct()[i] ? 1 : 0);
      for (int copies = counts[i]; copies > 0; ) {
        int taken = Math.min(copies, left);
        gap += taken * excess;
        copies -= taken;
        left -= taken;
        if (left == 0 && group < bins - 1) {
          sum += Math.abs(gap);
          gap = 0;
          left = size(++group, n);
        }
      }
    }
    return (sum + Math.abs(gap)) / n;
  }

  private int size(int group, int n) {
    // With fewer rows than bins the later groups are empty; one row each fills the first.
    return Math.max(1, n / bins + (group < n % bins ? 1 : 0));
  }

  private double aurc(int[] counts) {
    long wrong = 0;
    long rows = 0;
    double sum = 0;
    for (int j = order.length - 1; j >= 0; ) {
      // Equal confidences keep the order of the input, as in RiskCoverage.
      int from = j;
      while (from > 0 && top.confidence()[order[from - 1]] == top.confidence()[order[j]]) {
        from--;
      }
      for (int k = from; k <= j; k++) {
        for (int copy = 0; copy < counts[order[k]]; copy++) {
          wrong += top.correct()[order[k]] ? 0 : 1;
          rows++;
          sum += wrong / (double) rows;
        }
      }
      j = from - 1;
    }
    return sum / rows;
  }

  private double auroc(int[] counts, long right) {
    long wrongBelow = 0;
    long twiceWon = 0;
    for (int j = 0; j < order.length; ) {
      long wrongs = 0;
      long rights = 0;
      double value = top.confidence()[order[j]];
      for (; j < order.length && top.confidence()[order[j]] == value; j++) {
        int i = order[j];
        wrongs += top.correct()[i] ? 0 : counts[i];
        rights += top.correct()[i] ? counts[i] : 0;
      }
      twiceWon += rights * (2 * wrongBelow + wrongs);
      wrongBelow += wrongs;
    }
    return right == 0 || wrongBelow == 0 ? Double.NaN : twiceWon / (2.0 * right * wrongBelow);
  }

  double classwiseEce(int[] counts) {
    int classes = probabilities[0].length;
    double[][] gaps = new double[classes][bins];
    for (int i = 0; i < labels.length; i++) {
      if (counts[i] == 0) {
        continue;
      }
      for (int k = 0; k < classes; k++) {
        double p = probabilities[i][k];
        int b = Math.max(0, Math.min(bins - 1, (int) Math.ceil(p * bins) - 1));
        gaps[k][b] += counts[i] * (p - (labels[i] == k ? 1 : 0));
      }
    }
    double sum = 0;
    for (double[] row : gaps) {
      for (double gap : row) {
        sum += Math.abs(gap);
      }
    }
    return sum / labels.length / classes;
  }
}
