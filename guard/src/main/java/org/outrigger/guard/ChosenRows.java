package org.outrigger.guard;

import java.util.Arrays;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.torch.Tensors;

/** Reads some rows of a data set again. */
final class ChosenRows {
  private ChosenRows() {}

  /** Takes rows, in a scope. */
  interface Visitor {
    /**
     * @param inputs some of the chosen rows, in order
     * @param from how many came before
     */
    void take(Tensor inputs, int from);
  }

  /**
   * Walks the data up to the last chosen row.
   *
   * @param rows positions among the rows that can be read, ascending
   */
  static void walk(Dataset data, long[] rows, int batchSize, Visitor visitor) {
    long first = 0;
    int next = 0;
    try (Batches batches = data.batches(batchSize)) {
      while (next < rows.length && batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          int from = next;
          while (next < rows.length && rows[next] < first + batch.size()) {
            next++;
          }
          if (next > from) {
            long start = first;
            long[] index = Arrays.stream(rows, from, next).map(row -> row - start).toArray();
            visitor.take(batch.inputs().index_select(0, Tensors.of(index, index.length)), from);
          }
          first += batch.size();
        }
      }
    }
  }
}
