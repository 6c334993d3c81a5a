package org.outrigger.core.optim;

import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;

/**
 * An objective that runs the network itself: on inputs that it changes or mixes, or several times a
 * step. In training it is asked for {@link #step}; {@link #loss} measures it on other data.
 */
public interface StepObjective extends Objective {
  /**
   * What a step came to.
   *
   * @param loss a scalar that can be differentiated
   * @param logits [N, C] of rows whose accuracy is worth telling
   * @param labels int64 [N] of those rows; below 0 for rows of no class
   */
  record Result(Tensor loss, Tensor logits, Tensor labels) {}

  /**
   * Computes the loss of one step, in the scope of the step.
   *
   * @param network inputs [N, ...] to outputs, in training mode, recording gradients
   * @param inputs [N, ...] after augmentation; outliers are among them
   * @param labels int64 [N]; below 0 for outliers
   * @param rng where all randomness of the step comes from; a function of seed and step
   */
  Result step(Function<Tensor, Output> network, Tensor inputs, Tensor labels, Rng rng);
}
