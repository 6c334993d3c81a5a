package org.outrigger.detect;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;

/** Collects something of every known row into one tensor. */
final class Banks {
  private Banks() {}

  /**
   * The parts of all batches, one below the other, in a new tensor.
   *
   * @param who the detector's name for messages
   * @param part of a batch: [N, ...]
   */
  static Tensor collect(String who, Outputs known, Function<Rows, Tensor> part) {
    List<Tensor> parts = new ArrayList<>();
    try {
      Rows.forEach(who, known, rows -> parts.add(Scopes.own(part.apply(rows))));
      return Scopes.tensor(() -> torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0));
    } finally {
      parts.forEach(Scopes::release);
    }
  }
}
