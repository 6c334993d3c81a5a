package org.outrigger.core.metric;

import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * How often items of each class were predicted as each class, counted in one pass. Not safe for
 * concurrent use: merge.
 */
public final class ConfusionMatrix {
  private final int classes;
  private final long[][] counts;

  /**
   * An empty matrix.
   *
   * @param classes how many classes there are, at least 1
   */
  public ConfusionMatrix(int classes) {
    if (classes < 1) {
      throw new OutriggerException("classes = " + classes + " is out of range: use 1 or more.");
    }
    this.classes = classes;
    this.counts = new long[classes][classes];
  }

  /**
   * Counts one batch of class indices.
   *
   * @throws OutriggerException if one is out of range; nothing was counted then
   */
  public ConfusionMatrix add(int[] predictions, int[] labels) {
    Accuracy.checkLengths(predictions.length, labels.length);
    check("Prediction", predictions);
    check("Label", labels);
    for (int i = 0; i < labels.length; i++) {
      counts[labels[i]][predictions[i]]++;
    }
    return this;
  }

  /** Counts one batch: int64 [N] predictions and labels. */
  public ConfusionMatrix add(Tensor predictions, Tensor labels) {
    Shapes.check().tensor("The predictions", predictions, "N").tensor("The labels", labels, "N");
    return add(Tensors.ints(predictions), Tensors.ints(labels));
  }

  private void check(String what, int[] values) {
    for (int value : values) {
      if (value < 0 || value >= classes) {
        throw new OutriggerException(
            what + " " + value + " is not a class: they are 0 to " + (classes - 1) + ".");
      }
    }
  }

  /** Adds what another one counted. */
  public ConfusionMatrix merge(ConfusionMatrix other) {
    if (other.classes != classes) {
      throw new OutriggerException(
          "Matrices of " + classes + " and " + other.classes + " classes cannot be merged.");
    }
    for (int i = 0; i < classes; i++) {
      for (int j = 0; j < classes; j++) {
        counts[i][j] += other.counts[i][j];
      }
    }
    return this;
  }

  /** How many classes there are. */
  public int classes() {
    return classes;
  }

  /** A copy of the counts: row = true class, column = predicted class. */
  public long[][] counts() {
    return Arrays.stream(counts).map(long[]::clone).toArray(long[][]::new);
  }

  /** How many rows were counted. */
  public long total() {
    return Arrays.stream(counts).flatMapToLong(Arrays::stream).sum();
  }

  /** The share of the class's items that were found; NaN if it has none. */
  public double recall(int label) {
    return counts[label][label] / (double) Arrays.stream(counts[label]).sum();
  }

  /** The share right among what was predicted as the class; NaN if nothing was. */
  public double precision(int label) {
    return counts[label][label] / (double) Arrays.stream(counts).mapToLong(row -> row[label]).sum();
  }

  /**
   * The harmonic mean of precision and recall; NaN if the class neither occurs nor is predicted.
   */
  public double f1(int label) {
    long truth = Arrays.stream(counts[label]).sum();
    long predicted = Arrays.stream(counts).mapToLong(row -> row[label]).sum();
    return 2.0 * counts[label][label] / (truth + predicted);
  }

  /** The share of right predictions; NaN if nothing was counted. */
  public double accuracy() {
    long right = 0;
    for (int i = 0; i < classes; i++) {
      right += counts[i][i];
    }
    return right / (double) total();
  }

  /** The mean recall of the classes that occur; NaN if nothing was counted. */
  public double balancedAccuracy() {
    double sum = 0;
    int present = 0;
    for (int i = 0; i < classes; i++) {
      double recall = recall(i);
      if (!Double.isNaN(recall)) {
        sum += recall;
        present++;
      }
    }
    return sum / present;
  }
}
