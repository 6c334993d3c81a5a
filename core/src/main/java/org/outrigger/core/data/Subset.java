package org.outrigger.core.data;

import java.util.List;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

/** A view of chosen rows of another data set, perhaps with other labels. */
final class Subset implements IndexedDataset {
  private final IndexedDataset source;
  private final int[] rows;
  private final List<String> classNames;
  private final @Nullable IntUnaryOperator relabel;

  private Subset(
      IndexedDataset source,
      int[] rows,
      List<String> classNames,
      @Nullable IntUnaryOperator relabel) {
    this.source = source;
    this.rows = rows;
    this.classNames = classNames;
    this.relabel = relabel;
  }

  static Subset of(IndexedDataset source, int[] rows) {
    long size = source.size();
    for (int row : rows) {
      if (row < 0 || row >= size) {
        throw new OutriggerException(
            "Row "
                + row
                + " is not in "
                + source.name()
                + ", which has rows 0 to "
                + (size - 1)
                + ".");
      }
    }
    return new Subset(source, rows.clone(), source.classNames(), null);
  }

  /** The same rows with labels that {@code relabel} makes of the source's. */
  Subset relabelled(IntUnaryOperator relabel, List<String> classNames) {
    return new Subset(source, rows, List.copyOf(classNames), relabel);
  }

  @Override
  public String name() {
    return source.name();
  }

  @Override
  public long size() {
    return rows.length;
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public List<String> featureColumns() {
    return source.featureColumns();
  }

  @Override
  public boolean labelled() {
    return relabel != null || source.labelled();
  }

  @Override
  public long[] inputShape() {
    return source.inputShape();
  }

  @Override
  public boolean inMemory() {
    return source.inMemory();
  }

  @Override
  public int label(int row) {
    int label = source.label(rows[row]);
    return relabel == null ? label : relabel.applyAsInt(label);
  }

  @Override
  public Batch read(int[] wanted) {
    int[] mapped = new int[wanted.length];
    for (int i = 0; i < wanted.length; i++) {
      mapped[i] = rows[wanted[i]];
    }
    Batch batch = source.read(mapped);
    if (relabel == null) {
      return batch;
    }
    int[] labels = new int[wanted.length];
    for (int i = 0; i < wanted.length; i++) {
      labels[i] = label(wanted[i]);
    }
    if (batch.labels() != null) {
      batch.labels().close();
    }
    return new Batch(batch.inputs(), Tensors.labels(labels), batch.ids(), batch.times());
  }
}
