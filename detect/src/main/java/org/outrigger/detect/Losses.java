package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Shapes;

/** A batch's losses row by row, and means over its known rows, its outliers or all of it. */
final class Losses {
  private static final long NONE = 0;
  private static final long OUTLIER = -1;

  private Losses() {}

  /** Demands logits [N, C] with int64 labels [N] below C, and at least one row. */
  static void check(Tensor logits, Tensor labels) {
    Shapes.check().tensor("The logits", logits, "N", "C").tensor("The labels", labels, "N");
    Shapes.notEmpty("The logits", logits);
    Shapes.labels("The labels", labels, logits.size(1), true);
  }

  /** Cross-entropy [N]; 0 for outliers. */
  static Tensor crossEntropy(Tensor logits, Tensor labels) {
    return torch.cross_entropy_loss(
        logits, labels.clamp_min(new Scalar(OUTLIER)), new TensorOptional(), NONE, OUTLIER, 0);
  }

  /** Cross-entropy to the uniform distribution, {@code lse(f) - mean_c f_c}, [N]. */
  static Tensor uniformCrossEntropy(Tensor logits) {
    return logits.logsumexp(1).sub(logits.mean(1));
  }

  /** Which rows belong to a class, bool [N]. */
  static Tensor known(Tensor labels) {
    return labels.ge(new Scalar(0));
  }

  /** Which rows are outliers, bool [N]. */
  static Tensor outliers(Tensor labels) {
    return labels.lt(new Scalar(0));
  }

  /** The mean of the chosen rows; 0 if there are none. */
  static Tensor mean(Tensor rows, Tensor chosen) {
    return sum(rows, chosen).div(chosen.sum().clamp_min(new Scalar(1)));
  }

  /** The sum of the chosen rows. */
  static Tensor sum(Tensor rows, Tensor chosen) {
    return rows.masked_fill(chosen.logical_not(), new Scalar(0.0)).sum();
  }
}
