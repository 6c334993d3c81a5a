package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Vector scaling: a slope and an offset for each class, p = softmax(w * z + b), fitted by the
 * negative log-likelihood of held-out data plus l2 (sum (w - 1)^2 + sum b^2). It also corrects
 * classes that are predicted too often. Guo et al., On Calibration of Modern Neural Networks, ICML
 * 2017.
 */
@Card(
    slug = "vector-scaling",
    name = "Vector scaling",
    summary =
        "A slope and an offset for each class; corrects classes that are predicted too often.",
    paper = "Guo et al., On Calibration of Modern Neural Networks, ICML 2017",
    year = 2017,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "a slope and an offset for each class")
public final class VectorScaling extends FittedCalibrator<VectorScaling.Settings> {
  /**
   * @param l2 how strongly slopes are pulled to 1 and offsets to 0, at least 0; with 0 every class
   *     needs a row
   */
  public record Settings(double l2) {
    public Settings {
      HyperParameter.notNegative("l2", l2);
    }

    public static Settings defaults() {
      return new Settings(0);
    }
  }

  public VectorScaling() {
    this(Settings.defaults());
  }

  public VectorScaling(Settings settings) {
    super(settings);
  }

  /**
   * Scaled probabilities.
   *
   * @param logits [N, C]
   * @param weightAndBias [2, C], slopes over offsets
   * @return [N, C]
   */
  public static Tensor probabilities(Tensor logits, Tensor weightAndBias) {
    return Scopes.tensor(() -> torch.softmax(scaled(logits, weightAndBias), 1));
  }

  private static Tensor scaled(Tensor logits, Tensor weightAndBias) {
    return logits.mul(weightAndBias.select(0, 0)).add(weightAndBias.select(0, 1));
  }

  /**
   * What is minimised: mean cross-entropy plus the penalty.
   *
   * @param logits float64 [N, C]
   * @param labels int64 [N]
   * @return a scalar
   */
  public static Tensor objective(Tensor logits, Tensor labels, Tensor weightAndBias, double l2) {
    return Scopes.tensor(
        () -> {
          Tensor w = weightAndBias.select(0, 0).sub(new Scalar(1.0));
          Tensor b = weightAndBias.select(0, 1);
          return CrossEntropy.loss(scaled(logits, weightAndBias), labels, 0)
              .add(w.square().sum().add(b.square().sum()).mul(new Scalar(l2)));
        });
  }

  /**
   * Slopes and offsets of the smallest objective.
   *
   * @param logits float64 [N, C], finite
   * @param labels int64 [N]
   * @return [2, C]
   */
  public static Tensor fit(Tensor logits, Tensor labels, double l2) {
    return Scopes.tensor(
        () -> {
          Tensor start = torch.zeros_like(logits.narrow(0, 0, 1)).expand(2, logits.size(1)).clone();
          start.select(0, 0).fill_(new Scalar(1.0));
          return ConvexFit.minimise(
              "vector scaling", start, at -> objective(logits, labels, at, l2));
        });
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    if (settings().l2 == 0) {
      ConvexFit.requireEachClass("vector scaling without l2", labels, logits.size(1));
    }
    return new Fitted(logits.size(1), Map.of("weightAndBias", fit(logits, labels, settings().l2)));
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("weightAndBias", fitted.tensor("weightAndBias"), "2", "C");
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    return probabilities(logits, fitted.tensor("weightAndBias"));
  }
}
