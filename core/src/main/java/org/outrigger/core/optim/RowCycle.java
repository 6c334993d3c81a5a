package org.outrigger.core.optim;

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
        order = order();
      }
      rows[i] = order[(int) (position % size)];
    }
    return rows;
  }

  private int[] order() {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(seed, purpose + "/" + pass)) {
            return Tensors.ints(rng.permutation(size));
          }
        });
  }
}
