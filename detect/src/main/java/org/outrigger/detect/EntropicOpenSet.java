package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * Entropic open-set loss: cross-entropy on known rows and {@code -mean_c log p_c} on outliers, one
 * mean over the whole batch.
 *
 * <p>Dhamija, Günther, Boult, "Reducing Network Agnostophobia", NeurIPS 2018.
 */
@Card(
    slug = "entropic-open-set",
    name = "Entropic open-set loss",
    summary = "Trains with outliers towards uniform predictions, one mean over all rows.",
    paper = "Dhamija, Günther, Boult. Reducing Network Agnostophobia. NeurIPS 2018",
    year = 2018,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS, Need.OUTLIERS})
public final class EntropicOpenSet implements TrainingObjective {
  /** It has no hyper-parameters. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private final Settings settings;

  public EntropicOpenSet() {
    this(Settings.defaults());
  }

  public EntropicOpenSet(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The loss.
   *
   * @param logits [N, C]
   * @param labels int64 [N]; below 0 for outliers
   * @return a scalar
   */
  public static Tensor loss(Tensor logits, Tensor labels) {
    return OutlierExposure.loss(logits, labels, new OutlierExposure.Settings(1, true));
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    Losses.check(output.logits(), labels);
    return Scopes.tensor(() -> loss(output.logits(), labels));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
