package org.outrigger.calibrate;

import java.util.function.BinaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/** Maps of one probability, extended to C classes: each class against the rest, then normalised. */
final class OneVersusRest {
  private static final double CLIP = 1e-12;

  private OneVersusRest() {}

  /**
   * Fits a map for each class; every class needs a row.
   *
   * @param logits float64 [N, C]
   * @param labels int64 [N]
   * @param fit parameters [D] of probabilities [N] and outcomes float64 [N]
   * @return [D, C]
   */
  static Tensor fit(String who, Tensor logits, Tensor labels, BinaryOperator<Tensor> fit) {
    ConvexFit.requireEachClass(who, labels, logits.size(1));
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits, 1);
          Tensor target = ConvexFit.oneHot(labels, logits.size(1));
          Tensor[] columns = new Tensor[Math.toIntExact(logits.size(1))];
          for (int c = 0; c < columns.length; c++) {
            columns[c] = fit.apply(p.select(1, c), target.select(1, c));
          }
          return torch.stack(new TensorVector(columns), 1);
        });
  }

  /**
   * Rows divided by their sum; a row without any mass becomes uniform.
   *
   * @param raw [N, C], none below 0
   * @return [N, C]; rows sum to one
   */
  static Tensor normalised(Tensor raw) {
    return Scopes.tensor(
        () -> {
          Tensor sum = raw.sum(new long[] {1}, true, new ScalarTypeOptional());
          Tensor none = sum.le(new Scalar(0));
          Tensor uniform = torch.full_like(raw, new Scalar(1.0 / raw.size(1)));
          return torch.where(none, uniform, raw.div(sum.masked_fill(none, new Scalar(1.0))));
        });
  }

  /** Probabilities kept 1e-12 away from 0 and 1. */
  static Tensor clipped(Tensor p) {
    return p.clamp(new ScalarOptional(new Scalar(CLIP)), new ScalarOptional(new Scalar(1 - CLIP)));
  }
}
