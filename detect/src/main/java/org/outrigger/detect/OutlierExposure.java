package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * Outlier exposure: teach the network to be undecided on outliers. {@code CE(f(x), y) + lambda
 * mean_o [lse(f_o) - mean_c f_oc]}, the second part being the cross-entropy to the uniform
 * distribution.
 *
 * <p>Hendrycks, Mazeika, Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019. The
 * paper fine-tunes 10 epochs at rate 1e-3 with twice as many outliers as known rows in a batch.
 */
@Card(
    slug = "outlier-exposure",
    name = "Outlier exposure",
    summary = "Trains with outliers whose predictions are pushed towards uniform.",
    paper =
        "Hendrycks, Mazeika, Dietterich. Deep Anomaly Detection with Outlier Exposure. ICLR 2019",
    year = 2019,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS, Need.OUTLIERS})
public final class OutlierExposure implements TrainingObjective {
  /**
   * @param lambda the weight of the outliers' part, 0 or more; 0.5 in the paper
   * @param wholeBatch whether both parts are divided by the size of the whole batch, as some
   *     implementations do, instead of each by its own number of rows
   */
  public record Settings(double lambda, boolean wholeBatch) {
    public Settings {
      HyperParameter.notNegative("lambda", lambda);
    }

    public static Settings defaults() {
      return new Settings(0.5, false);
    }
  }

  private final Settings settings;

  public OutlierExposure() {
    this(Settings.defaults());
  }

  public OutlierExposure(Settings settings) {
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
    Tensor known = Losses.crossEntropy(logits, labels);
    Tensor uniform = Losses.uniformCrossEntropy(logits);
    Tensor outliers = Losses.outliers(labels);
    Scalar lambda = new Scalar(settings.lambda);
    return settings.wholeBatch
        ? known.sum().add(Losses.sum(uniform, outliers).mul(lambda)).div(rows(labels))
        : Losses.mean(known, Losses.known(labels)).add(Losses.mean(uniform, outliers).mul(lambda));
  }

  private static Scalar rows(Tensor labels) {
    return new Scalar((double) labels.size(0));
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
