package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Rng;

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
    return view(name, data -> new ShiftedRows(data, name, (inputs, rows) -> change.apply(inputs)));
  }

  /**
   * A random shift. Each row draws from a generator of its own, seeded by its position in the data,
   * so that it is changed alike in every pass and every batch; safe for concurrent use if {@code
   * change} is.
   *
   * @param change one row [1, ...] and its generator to a row of the same shape
   */
  static Shift random(String name, long seed, BiFunction<Tensor, Rng, Tensor> change) {
    return view(
        name,
        data ->
            new ShiftedRows(
                data,
                name,
                (inputs, rows) -> {
                  List<Tensor> changed = new ArrayList<>();
                  for (int i = 0; i < rows.length; i++) {
                    try (Rng rng = Rng.named(seed, name + "/" + rows[i])) {
                      changed.add(change.apply(inputs.narrow(0, i, 1), rng));
                    }
                  }
                  return torch.cat(new TensorVector(changed.toArray(new Tensor[0])), 0);
                }));
  }
}
