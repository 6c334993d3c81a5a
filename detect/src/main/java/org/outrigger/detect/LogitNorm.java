package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * LogitNorm: training cannot buy confidence with longer logit vectors. {@code CE(f / (||f|| + 1e-7)
 * / tau, y)}, the mean over known rows; score with MSP on the raw logits afterwards.
 *
 * <p>Wei et al., "Mitigating Neural Network Overconfidence with Logit Normalization", ICML 2022.
 * Outliers in a batch are left out. The paper trains 100 epochs from scratch, SGD at rate 0.1.
 */
@Card(
    slug = "logit-norm",
    name = "LogitNorm",
    summary = "Cross-entropy on logits of unit length, against overconfidence; no outliers needed.",
    paper =
        "Wei et al. Mitigating Neural Network Overconfidence with Logit Normalization. ICML 2022",
    year = 2022,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS})
public final class LogitNorm implements TrainingObjective {
  private static final double EPSILON = 1e-7;

  /**
   * @param tau the temperature after normalisation, above 0; 0.04 in the paper for CIFAR-10
   */
  public record Settings(double tau) {
    public Settings {
      HyperParameter.positive("tau", tau);
    }

    public static Settings defaults() {
      return new Settings(0.04);
    }
  }

  private final Settings settings;

  public LogitNorm() {
    this(Settings.defaults());
  }

  public LogitNorm(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The loss; 0 if no row has a class.
   *
   * @param logits [N, C]
   * @param labels int64 [N]; rows below 0 are left out
   * @return a scalar
   */
  public static Tensor loss(Tensor logits, Tensor labels, double tau) {
    Tensor length =
        logits
            .norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true)
            .add(new Scalar(EPSILON));
    Tensor unit = logits.div(length).div(new Scalar(tau));
    return Losses.mean(Losses.crossEntropy(unit, labels), Losses.known(labels));
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    Losses.check(output.logits(), labels);
    return Scopes.tensor(() -> loss(output.logits(), labels, settings.tau));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
