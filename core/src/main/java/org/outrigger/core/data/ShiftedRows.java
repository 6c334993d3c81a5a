package org.outrigger.core.data;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/** Rows whose inputs are changed as they are read. */
final class ShiftedRows implements IndexedDataset {
  /** What happens to the inputs of these rows. */
  @FunctionalInterface
  interface Change {
    Tensor apply(Tensor inputs, int[] rows);
  }

  private final IndexedDataset source;
  private final String shift;
  private final Change change;

  ShiftedRows(IndexedDataset source, String shift, Change change) {
    this.source = source;
    this.shift = shift;
    this.change = change;
  }

  @Override
  public String name() {
    return source.name() + " + " + shift;
  }

  @Override
  public long size() {
    return source.size();
  }

  @Override
  public List<String> classNames() {
    return source.classNames();
  }

  @Override
  public boolean labelled() {
    return source.labelled();
  }

  @Override
  public long[] inputShape() {
    return source.inputShape();
  }

  @Override
  public int label(int row) {
    return source.label(row);
  }

  @Override
  public Batch read(int[] rows) {
    Batch plain = source.read(rows);
    try {
      Tensor changed = Scopes.noGrad(() -> change.apply(plain.inputs(), rows));
      if (!Arrays.equals(changed.shape(), plain.inputs().shape())) {
        throw new OutriggerException(
            "The shift '"
                + shift
                + "' made inputs of shape "
                + Arrays.toString(changed.shape())
                + " from "
                + Arrays.toString(plain.inputs().shape())
                + ": a shift must keep the shape.");
      }
      plain.inputs().close();
      return new Batch(changed, plain.labels(), plain.ids(), plain.times());
    } catch (RuntimeException e) {
      plain.close();
      throw e;
    }
  }
}
