package org.outrigger.evaluate.stream;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.torch.Tensors;

/** Rows that are computed as they are read, [row number], of class row % classes; reads count. */
final class CountedRows implements IndexedDataset {
  final AtomicInteger reads = new AtomicInteger();
  private final int size;
  private final int classes;
  private final boolean inMemory;

  /**
   * @param classes 0 for unlabelled rows
   */
  CountedRows(int size, int classes, boolean inMemory) {
    this.size = size;
    this.classes = classes;
    this.inMemory = inMemory;
  }

  @Override
  public String name() {
    return "counted rows";
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public List<String> classNames() {
    return IntStream.range(0, classes).mapToObj(c -> "class " + c).toList();
  }

  @Override
  public boolean labelled() {
    return classes > 0;
  }

  @Override
  public long[] inputShape() {
    return new long[] {1};
  }

  @Override
  public boolean inMemory() {
    return inMemory;
  }

  @Override
  public int label(int row) {
    return classes == 0 ? -1 : row % classes;
  }

  @Override
  public Batch read(int[] rows) {
    reads.incrementAndGet();
    float[] values = new float[rows.length];
    for (int i = 0; i < rows.length; i++) {
      values[i] = rows[i];
    }
    return new Batch(
        Tensors.of(values, rows.length, 1),
        classes == 0 ? null : Tensors.labels(Arrays.stream(rows).map(this::label).toArray()),
        Arrays.stream(rows).mapToObj(Integer::toString).toList(),
        List.of());
  }
}
