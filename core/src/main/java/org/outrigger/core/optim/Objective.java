package org.outrigger.core.optim;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.model.Output;

/** What training minimises. */
@FunctionalInterface
public interface Objective {
  /**
   * The loss of a batch.
   *
   * @param output a forward pass that recorded gradients; logits [N, C]
   * @param labels int64 [N]; rows with a label below 0 are outliers, which belong to no class
   * @return a scalar that can be differentiated; smaller is better
   */
  Tensor loss(Output output, Tensor labels);

  /**
   * Called before each epoch, also when a resumed run continues within it.
   *
   * @param epoch from 0
   */
  default void epoch(int epoch) {}

  /** Trainable parameters of its own, by name, for the optimiser; borrowed. */
  default Map<String, Tensor> parameters() {
    return Map.of();
  }
}
