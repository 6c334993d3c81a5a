package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Dirichlet calibration: a linear map of log-probabilities, p = softmax(W log p + b), what
 * Dirichlet distributed predictions of each class would need. Fitted by the negative log-likelihood
 * of held-out data with off-diagonal and intercept regularisation (ODIR, lambda sum_{i!=j} W_ij^2 +
 * mu sum b_i^2). Kull et al., Beyond temperature scaling, NeurIPS 2019.
 */
@Card(
    slug = "dirichlet",
    name = "Dirichlet calibration",
    summary =
        "A linear map of log-probabilities; the richest parametric map, for enough held-out data.",
    paper =
        "Kull et al., Beyond temperature scaling: Obtaining well-calibrated multiclass"
            + " probabilities with Dirichlet calibration, NeurIPS 2019",
    year = 2019,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "W [C, C] and b [C]")
public final class DirichletCalibration extends FittedCalibrator<DirichletCalibration.Settings> {
  /**
   * @param lambda the penalty of what is off the diagonal of W, at least 0
   * @param mu the penalty of b, at least 0
   * @param crossValidate whether both are chosen among 1e-4, 1e-3 ... 10 by five-fold
   *     cross-validation instead; takes some sixty times as long
   */
  public record Settings(double lambda, double mu, boolean crossValidate) {
    public Settings {
      HyperParameter.notNegative("lambda", lambda);
      HyperParameter.notNegative("mu", mu);
    }

    public static Settings defaults() {
      return new Settings(1e-3, 1e-3, false);
    }
  }

  public DirichletCalibration() {
    this(Settings.defaults());
  }

  public DirichletCalibration(Settings settings) {
    super(settings);
  }

  /**
   * Mapped probabilities.
   *
   * @param logits float64 [N, C]
   * @param weightAndBias [C, C + 1], b in the last column
   * @return [N, C]
   */
  public static Tensor probabilities(Tensor logits, Tensor weightAndBias) {
    return Scopes.tensor(
        () -> torch.softmax(Odir.logits(Odir.logProbabilities(logits), weightAndBias), 1));
  }

  /**
   * What is minimised: mean cross-entropy plus the penalties.
   *
   * @param logits float64 [N, C]
   * @param labels int64 [N]
   * @return a scalar
   */
  public static Tensor objective(
      Tensor logits, Tensor labels, Tensor weightAndBias, double lambda, double mu) {
    return Scopes.tensor(
        () ->
            Odir.objective(
                Odir.logProbabilities(logits),
                labels,
                weightAndBias,
                new Odir.Strength(lambda, mu)));
  }

  /**
   * W and b of the smallest objective.
   *
   * @param logits float64 [N, C], finite
   * @param labels int64 [N]
   * @return [C, C + 1]
   */
  public static Tensor fit(Tensor logits, Tensor labels, double lambda, double mu) {
    return Scopes.tensor(
        () ->
            Odir.fit(
                "Dirichlet calibration",
                Odir.logProbabilities(logits),
                labels,
                new Odir.Strength(lambda, mu)));
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    ConvexFit.requireEachClass("Dirichlet calibration", labels, logits.size(1));
    Odir.Strength strength = new Odir.Strength(settings().lambda, settings().mu);
    if (settings().crossValidate) {
      strength =
          Odir.choose("Dirichlet calibration", Odir.logProbabilities(logits), labels, strength);
    }
    return new Fitted(
        logits.size(1),
        Map.of("weightAndBias", fit(logits, labels, strength.lambda(), strength.mu())),
        Map.of("lambda", strength.lambda(), "mu", strength.mu()));
  }

  /** The penalties that the fit used: those of the settings, or what cross-validation chose. */
  public Settings chosen() {
    Map<String, Double> numbers = required().numbers();
    return new Settings(
        numbers.getOrDefault("lambda", settings().lambda),
        numbers.getOrDefault("mu", settings().mu),
        settings().crossValidate);
  }

  @Override
  long parametersFor(long classes) {
    return classes * (classes + 1);
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .size("C + 1", fitted.classes() + 1, "its classes")
        .tensor("weightAndBias", fitted.tensor("weightAndBias"), "C", "C + 1");
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    return probabilities(logits, fitted.tensor("weightAndBias"));
  }
}
