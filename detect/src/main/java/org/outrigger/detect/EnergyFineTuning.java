package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * Energy fine-tuning: push the energies of known inputs below one margin and those of outliers
 * above another. {@code CE + beta (mean relu(E_id - m_in)^2 + mean relu(m_out - E_o)^2)} with
 * {@code E = -lse(f)}.
 *
 * <p>Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020. The margins depend on
 * the number of classes and the scale of the logits: set them from the energies of the trained
 * network on known data and on outliers.
 */
@Card(
    slug = "energy-fine-tuning",
    name = "Energy fine-tuning",
    summary = "Trains with outliers so that energies of known and unknown inputs part.",
    paper = "Liu et al. Energy-based Out-of-distribution Detection. NeurIPS 2020",
    year = 2020,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS, Need.OUTLIERS})
public final class EnergyFineTuning implements TrainingObjective {
  /**
   * @param beta the weight of the energy parts, 0 or more
   * @param marginIn the energy that known inputs should stay below
   * @param marginOut the energy that outliers should stay above; marginIn or more
   * @param wholeBatch whether all parts are divided by the size of the whole batch, as some
   *     implementations do, instead of each by its own number of rows
   */
  public record Settings(double beta, double marginIn, double marginOut, boolean wholeBatch) {
    public Settings {
      HyperParameter.notNegative("beta", beta);
      HyperParameter.require(Double.isFinite(marginIn), "marginIn", marginIn, "a finite number");
      HyperParameter.require(
          Double.isFinite(marginOut) && marginOut >= marginIn,
          "marginOut",
          marginOut,
          "a finite number, marginIn = " + marginIn + " or more");
    }

    public static Settings defaults() {
      return new Settings(0.1, -13, -6, false);
    }
  }

  private final Settings settings;

  public EnergyFineTuning() {
    this(Settings.defaults());
  }

  public EnergyFineTuning(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The loss; a part without rows is 0.
   *
   * @param logits [N, C]
   * @param labels int64 [N]; below 0 for outliers
   * @return a scalar
   */
  public static Tensor loss(Tensor logits, Tensor labels, Settings settings) {
    Tensor energy = logits.logsumexp(1).neg();
    Tensor above = torch.relu(energy.sub(new Scalar(settings.marginIn))).square();
    Tensor below = torch.relu(energy.neg().add(new Scalar(settings.marginOut))).square();
    Tensor entropy = Losses.crossEntropy(logits, labels);
    Tensor known = Losses.known(labels);
    Tensor outliers = Losses.outliers(labels);
    Scalar beta = new Scalar(settings.beta);
    if (settings.wholeBatch) {
      Tensor squares = Losses.sum(above, known).add(Losses.sum(below, outliers));
      return entropy.sum().add(squares.mul(beta)).div(new Scalar((double) labels.size(0)));
    }
    Tensor squares = Losses.mean(above, known).add(Losses.mean(below, outliers));
    return Losses.mean(entropy, known).add(squares.mul(beta));
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    Losses.check(output.logits(), labels);
    return Scopes.tensor(() -> loss(output.logits(), labels, settings));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
