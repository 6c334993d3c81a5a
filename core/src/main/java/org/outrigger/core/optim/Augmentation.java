package org.outrigger.core.optim;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Rng;

/** A random change of training inputs that keeps their labels. */
@FunctionalInterface
public interface Augmentation {
  /**
   * Changes one batch.
   *
   * @param inputs [N, ...]; left as they are
   * @param rng where all randomness comes from; seeded by the step
   * @return as many rows of the same shape
   */
  Tensor apply(Tensor inputs, Rng rng);

  /** This change, and then another of its result. */
  default Augmentation then(Augmentation next) {
    return (inputs, rng) -> next.apply(apply(inputs, rng), rng);
  }
}
