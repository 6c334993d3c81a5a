package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Beta calibration: q = sigmoid(a ln p - b ln(1 - p) + c) with a, b of 0 or more, what
 * probabilities that are beta distributed within each class need; a = b = 1, c = 0 changes nothing.
 * Fitted by maximum likelihood on held-out data; several classes are taken one against the rest and
 * normalised. Kull, Silva Filho, Flach, AISTATS 2017.
 */
@Card(
    slug = "beta-calibration",
    name = "Beta calibration",
    summary = "Bends each end of a class's probability by itself; three numbers a class.",
    paper = "Kull, Silva Filho, Flach, Beta calibration, AISTATS 2017",
    year = 2017,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "a, b and c for each class")
public final class BetaCalibration extends FittedCalibrator<BetaCalibration.Settings> {
  /** It has no hyper-parameters. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public BetaCalibration() {
    this(Settings.defaults());
  }

  public BetaCalibration(Settings settings) {
    super(settings);
  }

  /**
   * The mapped probability of one class.
   *
   * @param p float64 [N], in [0, 1]; kept 1e-12 away from both ends
   * @param abc a, b and c, [3]; or [3, C] for p [N, C]
   * @return as p
   */
  public static Tensor map(Tensor p, Tensor abc) {
    return Scopes.tensor(
        () -> {
          Tensor[] logs = LogisticFit.logs(p);
          return torch.sigmoid(
              logs[0]
                  .mul(abc.select(0, 0))
                  .sub(logs[1].mul(abc.select(0, 1)))
                  .add(abc.select(0, 2)));
        });
  }

  /**
   * The mean negative log-likelihood of a, b and c.
   *
   * @param p float64 [N]
   * @param outcomes float64 [N], 0 or 1
   * @return a scalar
   */
  public static Tensor objective(Tensor p, Tensor outcomes, Tensor abc) {
    return Scopes.tensor(() -> LogisticFit.objective(features(p), outcomes, abc));
  }

  private static Tensor features(Tensor p) {
    Tensor[] logs = LogisticFit.logs(p);
    return torch.stack(new TensorVector(logs[0], logs[1].neg(), torch.ones_like(p)), 1);
  }

  /**
   * a, b and c of the largest likelihood with a and b of 0 or more. The likelihood is concave: if
   * its maximum has a negative coefficient, the wanted one has a coefficient of 0, so the best of
   * the fits without a, without b and without both is it.
   *
   * @param p float64 [N], in [0, 1]
   * @param outcomes float64 [N], 0 or 1
   * @return [3]
   */
  public static Tensor fitMap(Tensor p, Tensor outcomes) {
    return Scopes.tensor(
        () -> {
          Tensor features = features(p);
          Tensor free = fit(features, outcomes, 0, 1, 2);
          if (free != null) {
            return free;
          }
          Tensor best = fit(features, outcomes, 2);
          double least = Double.POSITIVE_INFINITY;
          for (Tensor abc :
              new @Nullable Tensor[] {
                best, fit(features, outcomes, 0, 2), fit(features, outcomes, 1, 2)
              }) {
            double loss =
                abc == null
                    ? Double.POSITIVE_INFINITY
                    : LogisticFit.objective(features, outcomes, abc).item_double();
            if (loss < least) {
              least = loss;
              best = abc;
            }
          }
          return java.util.Objects.requireNonNull(best);
        });
  }

  /** The fit of some of a, b, c, the others being 0; null if a or b comes out negative. */
  private static @Nullable Tensor fit(Tensor features, Tensor outcomes, long... used) {
    Tensor columns = Tensors.of(used, used.length);
    Tensor start = Tensors.of(new double[] {1, 1, 0}, 3).index_select(0, columns);
    double[] found =
        Tensors.doubles(
            LogisticFit.fit(
                "beta calibration", features.index_select(1, columns), outcomes, start));
    double[] abc = new double[3];
    for (int i = 0; i < used.length; i++) {
      abc[(int) used[i]] = found[i];
    }
    return abc[0] < 0 || abc[1] < 0 ? null : Tensors.of(abc, 3);
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    return new Fitted(
        logits.size(1),
        Map.of(
            "abc", OneVersusRest.fit("beta calibration", logits, labels, BetaCalibration::fitMap)));
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("abc", fitted.tensor("abc"), "3", "C");
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    return OneVersusRest.normalised(map(torch.softmax(logits, 1), fitted.tensor("abc")));
  }
}
