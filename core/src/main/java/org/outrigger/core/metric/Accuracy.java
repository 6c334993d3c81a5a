package org.outrigger.core.metric;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * The share of right predictions, counted in one pass. Rows whose label is below 0 are unknown
 * inputs, which have no right class: they are left out. Not safe for concurrent use: merge.
 */
public final class Accuracy {
  private long right;
  private long count;

  /** Counts one batch of class indices. */
  public Accuracy add(int[] predictions, int[] labels) {
    checkLengths(predictions.length, labels.length);
    for (int i = 0; i < labels.length; i++) {
      if (labels[i] >= 0) {
        right += predictions[i] == labels[i] ? 1 : 0;
        count++;
      }
    }
    return this;
  }

  /**
   * Counts one batch.
   *
   * @param logits [N, C], or any scores whose largest is the prediction
   * @param labels [N], int64
   */
  public Accuracy add(Tensor logits, Tensor labels) {
    Shapes.check().tensor("The logits", logits, "N", "C").tensor("The labels", labels, "N");
    Scopes.run(
        () -> {
          // A prediction is never below 0, so that unknown inputs cannot count as right.
          right += logits.argmax(new LongOptional(1), false).eq(labels).sum().item_long();
          count += labels.ge(Tensors.number(0)).sum().item_long();
        });
    return this;
  }

  /** Adds what another one counted. */
  public Accuracy merge(Accuracy other) {
    right += other.right;
    count += other.count;
    return this;
  }

  /** How many rows were counted. */
  public long count() {
    return count;
  }

  /** How many of them were right. */
  public long right() {
    return right;
  }

  /**
   * The share in [0, 1].
   *
   * @throws OutriggerException if nothing was counted
   */
  public double value() {
    if (count == 0) {
      throw new OutriggerException("There is no labelled row: accuracy needs at least one.");
    }
    return right / (double) count;
  }

  /** Wilson's confidence interval of the share. */
  public Interval interval(double level) {
    return Rate.wilson(right, count, level);
  }

  /** The accuracy of one batch; see {@link #add(Tensor, Tensor)}. */
  public static double of(Tensor logits, Tensor labels) {
    return new Accuracy().add(logits, labels).value();
  }

  static void checkLengths(int predictions, int labels) {
    if (predictions != labels) {
      throw new OutriggerException(
          "There are " + predictions + " predictions, but " + labels + " labels.");
    }
  }
}
