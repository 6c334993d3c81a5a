package org.outrigger.adapt;

import java.util.List;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * Pseudo-labels: rows whose largest probability exceeds a threshold are taken at their word, loss =
 * mean over them of -log p of the predicted class. Lee, Pseudo-Label, ICML workshop 2013; at test
 * time as in Iwasawa and Matsuo, NeurIPS 2021.
 */
@Card(
    slug = "pseudo-label",
    name = "Pseudo-label",
    summary = "Trains on the predictions that are confident enough.",
    paper =
        "Lee, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method, ICML"
            + " workshop 2013",
    year = 2013,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "trained parameters and the optimiser")
public final class PseudoLabel extends GradientAdapter<PseudoLabel.Settings> {
  /**
   * @param threshold above which a largest probability counts, in [0, 1): 0.9, or 0.4 as in DELTA
   * @param train which parameters move; NORM or, for PLClf, HEAD
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(
      double threshold, Trainable train, Rule optimiser, double lr, double momentum, int steps)
      implements Descent {
    public Settings {
      HyperParameter.require(
          threshold >= 0 && threshold < 1, "threshold", threshold, "0 or more and below 1");
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(0.9, Trainable.NORM, Rule.ADAM, 1e-3, 0.9, 1);
    }
  }

  public PseudoLabel() {
    this(Settings.defaults());
  }

  public PseudoLabel(Settings settings) {
    super(settings);
  }

  /**
   * The rows that are confident enough.
   *
   * @param logits [N, C]
   * @return bool [N]
   */
  public static Tensor confident(Tensor logits, double threshold) {
    return Scopes.noGrad(
        () -> torch.softmax(logits, 1).amax(new long[] {1}, false).gt(new Scalar(threshold)));
  }

  /**
   * The cross-entropy of each row with its own predicted class.
   *
   * @param logits [N, C]
   * @return [N]
   */
  public static Tensor losses(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor predicted = logits.detach().argmax(new LongOptional(1), true);
          return torch.log_softmax(logits, 1).gather(1, predicted).squeeze(1).neg();
        });
  }

  @Override
  protected List<String> choose(Model copy) {
    return settings().train().names(copy);
  }

  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor logits = output.logits();
    Tensor confident = confident(logits, settings().threshold());
    Tensor kept = select(inputs, logits, confident);
    long rows = kept.sum().item_long();
    count(confident.sum().item_long(), rows, 0);
    return rows == 0 ? null : Entropies.masked(losses(logits), kept);
  }
}
