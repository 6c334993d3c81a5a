package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Platt scaling: a logistic curve over the log-odds, q = sigmoid(A logit(p) + B), fitted by maximum
 * likelihood on held-out data without smoothing of targets. Several classes are taken one against
 * the rest and normalised. Platt, Advances in Large Margin Classifiers, 1999.
 */
@Card(
    slug = "platt",
    name = "Platt scaling",
    summary = "A logistic curve over the log-odds of each class; two numbers a class.",
    paper =
        "Platt, Probabilistic outputs for support vector machines, Advances in Large Margin"
            + " Classifiers 1999",
    year = 1999,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "A and B for each class")
public final class PlattScaling extends FittedCalibrator<PlattScaling.Settings> {
  /** It has no hyper-parameters. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public PlattScaling() {
    this(Settings.defaults());
  }

  public PlattScaling(Settings settings) {
    super(settings);
  }

  /**
   * The mapped probability of one class.
   *
   * @param p float64 [N], in [0, 1]; kept 1e-12 away from both ends
   * @param slopeAndOffset A and B, [2]; or [2, C] for p [N, C]
   * @return as p
   */
  public static Tensor map(Tensor p, Tensor slopeAndOffset) {
    return Scopes.tensor(
        () ->
            torch.sigmoid(
                logit(p).mul(slopeAndOffset.select(0, 0)).add(slopeAndOffset.select(0, 1))));
  }

  private static Tensor logit(Tensor p) {
    Tensor[] logs = LogisticFit.logs(p);
    return logs[0].sub(logs[1]);
  }

  /**
   * A and B of the largest likelihood.
   *
   * @param p float64 [N], in [0, 1]
   * @param outcomes float64 [N], 0 or 1
   * @return [2]
   */
  public static Tensor fitMap(Tensor p, Tensor outcomes) {
    return Scopes.tensor(
        () -> {
          Tensor z = logit(p);
          Tensor features = torch.stack(new TensorVector(z, torch.ones_like(z)), 1);
          return LogisticFit.fit(
              "Platt scaling", features, outcomes, Tensors.of(new double[] {1, 0}, 2));
        });
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    return new Fitted(
        logits.size(1),
        Map.of(
            "slopeAndOffset",
            OneVersusRest.fit("Platt scaling", logits, labels, PlattScaling::fitMap)));
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("slopeAndOffset", fitted.tensor("slopeAndOffset"), "2", "C");
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    return OneVersusRest.normalised(map(torch.softmax(logits, 1), fitted.tensor("slopeAndOffset")));
  }
}
