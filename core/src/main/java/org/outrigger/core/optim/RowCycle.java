package org.outrigger.core.optim;

import java.util.Arrays;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Rows of a data set in an endless shuffled order. The order is a function of seed, purpose and
 * pass, so a position is all that a checkpoint needs.
 */
final class RowCycle {
  private final long seed;
  private final String purpose;
  private final int size;
  private long pass = -1;
  private int[] order = {};

  RowCycle(long seed, String purpose, long size) {
    this.seed = seed;
    this.purpose = purpose;
    this.size = Math.toIntExact(size);
  }

  /** The rows at positions {@code from .. from + count - 1} of the endless order. */
  int[] rows(long from, int count) {
    int[] rows = new int[count];
    for (int i = 0; i < count; i++) {
      long position = from + i;
      if (position / size != pass) {
        pass = position / size;
        order = order(seed, purpose, pass, size);
      }
      rows[i] = order[(int) (position % size)];
    }
    return rows;
  }

  /** The order of all rows in one pass. */
  static int[] order(long seed, String purpose, long pass, long size) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(seed, purpose + "/" + pass)) {
            return Tensors.ints(rng.permutation(size));
          }
        });
  }

  /**
   * The number of batches of a pass. A single row left over joins the batch before: batch norm
   * cannot train on one row.
   */
  static long batches(long rows, int batchSize) {
    long full = rows / batchSize;
    long rest = rows % batchSize;
    return rest == 0 || (rest == 1 && full > 0) ? full : full + 1;
  }

  /** The rows of a batch of a pass. */
  static int[] batch(int[] order, long index, int batchSize) {
    boolean last = index == batches(order.length, batchSize) - 1;
    int from = Math.toIntExact(index * batchSize);
    return Arrays.copyOfRange(order, from, last ? order.length : from + batchSize);
  }
}
