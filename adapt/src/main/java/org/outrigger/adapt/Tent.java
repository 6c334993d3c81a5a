package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;

/**
 * TENT: each batch is normalised by its own statistics, and one step on the scales and shifts of
 * the normalisation layers lowers the mean entropy of its predictions, loss = mean_i H(z_i). Wang
 * et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021.
 */
@Card(
    slug = "tent",
    name = "TENT",
    summary = "Lowers the entropy of each batch through the normalisation layers.",
    paper = "Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021",
    year = 2021,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "scales, shifts and the optimiser")
public final class Tent extends GradientAdapter<Tent.Settings> {
  /**
   * @param optimiser of the steps
   * @param lr learning rate, above 0: 1e-3 for Adam on small images, 2.5e-4 for SGD on large ones
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(Rule optimiser, double lr, double momentum, int steps) implements Descent {
    public Settings {
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  public Tent() {
    this(Settings.defaults());
  }

  public Tent(Settings settings) {
    super(settings);
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor kept = select(inputs, output.logits(), null);
    long rows = kept.sum().item_long();
    count(inputs.size(0), rows, 0);
    return rows == 0 ? null : Entropies.masked(Entropies.entropy(output.logits()), kept);
  }
}
