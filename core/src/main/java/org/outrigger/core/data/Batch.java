package org.outrigger.core.data;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Some rows of a data set. Whoever received it closes it, unless a scope owns its tensors.
 *
 * @param inputs float32 [N, ...]: images [N, C, H, W] or rows [N, D]
 * @param labels int64 [N], or null if unlabelled; values below 0 mark unknown inputs
 * @param ids a name for each row, for reports: a file name, an id column, or the row number
 * @param times a time for each row as text, or empty when the source has none
 */
public record Batch(Tensor inputs, @Nullable Tensor labels, List<String> ids, List<String> times)
    implements AutoCloseable {
  /** The number of rows. */
  public int size() {
    return Math.toIntExact(inputs.size(0));
  }

  @Override
  public void close() {
    inputs.close();
    if (labels != null) {
      labels.close();
    }
  }
}
