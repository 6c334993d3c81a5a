package org.outrigger.adapt;

import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;

/**
 * Estimates the running statistics of batch normalisation anew, so that a model that was adapted on
 * batch statistics also works in evaluation mode, in Outrigger or PyTorch.
 */
public final class RunningStatistics {
  /** At a momentum of 0.1 less than a twentieth of the old statistics is left. */
  private static final int PASSES = 30;

  private RunningStatistics() {}

  /**
   * Lets the model's running statistics become those of some batches, by passes in training mode.
   *
   * @param model whose buffers are changed; it is in evaluation mode afterwards
   * @param batches inputs [N, ...] of two rows or more, taken in turn
   */
  public static void settle(Model model, List<Tensor> batches) {
    if (batches.isEmpty()) {
      throw new OutriggerException(
          "Running statistics come from batches, but there is none: give at least one.");
    }
    Capabilities.Differentiable network =
        model
            .as(Capabilities.Differentiable.class)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The model " + model.name() + " has no running statistics to change."));
    network.train(true);
    try {
      for (int i = 0; i < PASSES; i++) {
        Tensor batch = batches.get(i % batches.size());
        Scopes.run(() -> Scopes.grad(false, () -> network.forward(batch)));
      }
    } finally {
      network.train(false);
    }
  }
}
