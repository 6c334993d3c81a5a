package org.outrigger.core.data;

import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Tensor;

/**
 * A distribution shift: one change of inputs, applied to known rows and to unknown ones alike.
 * Labels and ids stay.
 *
 * <pre>{@code
 * Shift darker = Shift.of("darker", x -> x.mul(new Scalar(0.5)));
 * Shift foggy = Shift.view("fog", d -> CorruptedDataset.of(d, Corruption.FOG, 3, settings));
 * IndexedDataset dark = darker.of(images);
 * }</pre>
 */
public interface Shift {
  /** What it is called in reports. */
  String name();

  /** A view of {@code data} under this shift: the same rows, labels and ids, other inputs. */
  IndexedDataset of(IndexedDataset data);

  /** The data as they are. */
  static Shift none() {
    return view("none", data -> data);
  }

  /**
   * A shift that makes a view of a data set.
   *
   * @param view keeps rows, their order and labels
   */
  static Shift view(String name, UnaryOperator<IndexedDataset> view) {
    return new Shift() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public IndexedDataset of(IndexedDataset data) {
        return view.apply(data);
      }
    };
  }

  /**
   * A shift of batches; safe for concurrent use if {@code change} is.
   *
   * @param change inputs [N, ...] to as many rows of the same shape; row by row, so that a row does
   *     not depend on the batch that it is read in
   */
  static Shift of(String name, UnaryOperator<Tensor> change) {
    return view(name, data -> new ShiftedRows(data, name, change));
  }
}
