package org.outrigger.adapt;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * SHOT-IM: information maximisation. Every row is to be certain and the batch as a whole diverse,
 * loss = mean_i H(z_i) + sum_c pbar_c log(pbar_c + 1e-5) with pbar the mean softmax of the batch.
 * Liang et al., Do We Really Need to Access the Source Data? ICML 2020.
 */
@Card(
    slug = "shot-im",
    name = "SHOT-IM",
    summary = "Makes each prediction certain and the batch as a whole diverse.",
    paper =
        "Liang et al., Do We Really Need to Access the Source Data? Source Hypothesis Transfer"
            + " for Unsupervised Domain Adaptation, ICML 2020",
    year = 2020,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "trained parameters and the optimiser")
public final class ShotIm extends GradientAdapter<ShotIm.Settings> {
  private static final double EPS = 1e-5;

  /**
   * @param train which parameters move; NORM, or FEATURES with the head frozen
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(Trainable train, Rule optimiser, double lr, double momentum, int steps)
      implements Descent {
    public Settings {
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(Trainable.NORM, Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  public ShotIm() {
    this(Settings.defaults());
  }

  public ShotIm(Settings settings) {
    super(settings);
  }

  /**
   * The information that a batch lacks.
   *
   * @param logits [N, C]
   * @param kept bool [N], the rows that are looked at
   * @return a scalar; gradients flow through it
   */
  public static Tensor loss(Tensor logits, Tensor kept) {
    return Scopes.tensor(
        () -> {
          Tensor weight = kept.to(logits.scalar_type());
          Tensor mean = torch.softmax(logits, 1).mul(weight.unsqueeze(1)).sum(0).div(weight.sum());
          Tensor diversity = mean.mul(mean.add(new Scalar(EPS)).log()).sum();
          return Entropies.masked(Entropies.entropy(logits), kept).add(diversity);
        });
  }

  @Override
  protected List<String> choose(Model copy) {
    return settings().train().names(copy);
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor kept = select(inputs, output.logits(), null);
    long rows = kept.sum().item_long();
    count(inputs.size(0), rows, 0);
    return rows == 0 ? null : loss(output.logits(), kept);
  }
}
