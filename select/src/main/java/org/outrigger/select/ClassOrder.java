package org.outrigger.select;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Rows by class.
 *
 * @param order row numbers, class after class, in the order of the rows, int64 [N]
 * @param counts rows of each class
 */
@SuppressWarnings("ArrayRecordComponent")
record ClassOrder(Tensor order, long[] counts) {
  /**
   * Sorts; the tensor belongs to the enclosing scope.
   *
   * @param labels int64 [N], 0 or more; there may be classes without rows
   */
  static ClassOrder of(Tensor labels) {
    return new ClassOrder(
        Scopes.tensor(() -> labels.argsort(true, 0, false)),
        Tensors.longs(labels.bincount(new TensorOptional(), 0)));
  }

  int classes() {
    return counts.length;
  }

  /** The numbers of the rows of a class, int64 [n]. */
  Tensor rows(int label) {
    long from = 0;
    for (int c = 0; c < label; c++) {
      from += counts[c];
    }
    return order.narrow(0, from, counts[label]);
  }
}
