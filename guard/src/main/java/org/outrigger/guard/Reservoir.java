package org.outrigger.guard;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;

/** A uniform sample of a stream of unknown length, in memory. */
final class Reservoir {
  private Reservoir() {}

  /** At most {@code most} rows in random order; the same for the same seed. */
  static TensorDataset sample(Dataset data, int most, long seed) {
    List<Tensor> inputs = new ArrayList<>();
    List<Tensor> labels = new ArrayList<>();
    SplittableRandom random = new SplittableRandom(seed);
    long seen = 0;
    try (Batches batches = data.batches(256)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          for (int i = 0; i < batch.size(); i++) {
            long place =
                inputs.size() < most
                    ? random.nextLong(inputs.size() + 1)
                    : random.nextLong(seen + 1);
            seen++;
            if (place < most) {
              Tensor row = Scopes.own(batch.inputs().narrow(0, i, 1).clone());
              Tensor label =
                  batch.labels() == null
                      ? null
                      : Scopes.own(batch.labels().narrow(0, i, 1).clone());
              put(inputs, row, (int) place, most);
              if (label != null) {
                put(labels, label, (int) place, most);
              }
            }
          }
        }
      }
    }
    try (PointerScope scope = new PointerScope()) {
      if (inputs.isEmpty()) {
        throw new OutriggerException("No row of " + data.name() + " could be read: it is empty.");
      }
      return TensorDataset.builder(joined(inputs))
          .labels(labels.isEmpty() ? null : joined(labels))
          .classNames(data.classNames())
          .name(data.name())
          .build();
    } finally {
      inputs.forEach(Scopes::release);
      labels.forEach(Scopes::release);
    }
  }

  /**
   * While there is room rows are inserted, so that their order is random too; then they replace.
   */
  private static void put(List<Tensor> rows, Tensor row, int place, int most) {
    if (rows.size() < most) {
      rows.add(place, row);
    } else {
      Scopes.release(Objects.requireNonNull(rows.set(place, row)));
    }
  }

  private static Tensor joined(List<Tensor> rows) {
    return torch.cat(new TensorVector(rows.toArray(new Tensor[0])), 0);
  }
}
