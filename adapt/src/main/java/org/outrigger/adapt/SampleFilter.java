package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/** Decides which rows of a batch a gradient method learns from, and may add to its loss. */
public interface SampleFilter {
  /**
   * @param inputs [N, ...]
   * @param logits [N, C] of the adapted model
   * @return bool [N]: the rows to learn from
   */
  Tensor keep(Tensor inputs, Tensor logits);

  /**
   * What is added to the loss of a batch in which rows are kept.
   *
   * @param logits [N, C], through which gradients flow
   * @return a scalar, or null for nothing
   */
  default @Nullable Tensor penalty(Tensor logits) {
    return null;
  }
}
