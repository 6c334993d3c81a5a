package org.outrigger.stream.memory;

import org.bytedeco.pytorch.Tensor;

/**
 * Corrected predictions of N rows; the tensors, float64, belong to the enclosing scope or to the
 * caller.
 *
 * @param probabilities [N], in [0, 1]
 * @param errors [N], what the base prediction is believed to lack; 0 where nothing was near
 * @param labels [N], the mean label of what is near; NaN where nothing was
 * @param base [N], the mean base prediction of what is near; NaN where nothing was
 * @param attention [N, k], the weights of what is near, which sum to one or are all 0
 * @param filled int64 [N], how many neighbours or buckets held something
 */
public record Correction(
    Tensor probabilities,
    Tensor errors,
    Tensor labels,
    Tensor base,
    Tensor attention,
    Tensor filled)
    implements AutoCloseable {
  @Override
  public void close() {
    probabilities.close();
    errors.close();
    labels.close();
    base.close();
    attention.close();
    filled.close();
  }
}
