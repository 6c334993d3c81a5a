package org.outrigger.detect;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Rows by class: what was predicted, and which row of its class each one is. */
final class Classes {
  private Classes() {}

  /**
   * The predicted classes.
   *
   * @param logits [N, C]
   * @return int64 [N]
   */
  static Tensor predicted(Tensor logits) {
    return logits.argmax(new LongOptional(1), false);
  }

  /**
   * The position of each row among the rows of its class, in order, from 0.
   *
   * @param labels int64 [N], each in 0 .. classes-1
   * @return int64 [N]
   */
  static Tensor positions(Tensor labels, long classes) {
    Tensor order = torch.argsort(labels, true, 0, false);
    Tensor counts = torch.one_hot(labels, classes).sum(0);
    Tensor starts = counts.cumsum(0).sub(counts);
    Tensor running = torch.arange(new Scalar(labels.size(0)), new TensorOptions(ScalarType.Long));
    Tensor sorted = running.sub(starts.index_select(0, labels.index_select(0, order)));
    return torch.empty_like(labels).index_copy_(0, order, sorted);
  }
}
