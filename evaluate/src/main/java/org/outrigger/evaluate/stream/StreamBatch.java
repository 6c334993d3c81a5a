package org.outrigger.evaluate.stream;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Batch;

/**
 * Some rows of a stream. Whoever received it closes it, unless a scope owns its tensors.
 *
 * @param rows inputs [N, ...] and, for scoring alone, labels
 * @param domains for each row the number of its domain in {@link TestStream#domains}, [N]
 * @param round of the stream, from 0
 * @param reset whether a model starts anew before this batch; always before the first
 * @param start how many rows of the stream came before
 */
@SuppressWarnings("ArrayRecordComponent")
public record StreamBatch(Batch rows, int[] domains, int round, boolean reset, long start)
    implements AutoCloseable {
  /** What a model may see: float32 [N, ...]. */
  public Tensor inputs() {
    return rows.inputs();
  }

  /** For scoring: int64 [N], or null if unlabelled; values below 0 mark unknown inputs. */
  public @Nullable Tensor labels() {
    return rows.labels();
  }

  /** The number of rows. */
  public int size() {
    return domains.length;
  }

  @Override
  public void close() {
    rows.close();
  }
}
