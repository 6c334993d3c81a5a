package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Temperature scaling: one number softens or sharpens every prediction, p = softmax(z / T); the
 * ranking of classes, and so the accuracy, stays. T minimises the negative log-likelihood of
 * held-out data. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
 */
@Card(
    slug = "temperature",
    name = "Temperature scaling",
    summary = "One fitted number divides all logits; accuracy unchanged, confidence honest.",
    paper = "Guo et al., On Calibration of Modern Neural Networks, ICML 2017",
    year = 2017,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "the temperature")
public final class TemperatureScaling implements Calibrator {
  private static final Logger LOG = LoggerFactory.getLogger(TemperatureScaling.class);

  /**
   * @param lowest the smallest temperature that is tried, above 0
   * @param highest the largest
   */
  public record Settings(double lowest, double highest) {
    public Settings {
      HyperParameter.positive("lowest", lowest);
      HyperParameter.positive("highest", highest);
      HyperParameter.require(highest > lowest, "highest", highest, "above lowest = " + lowest);
    }

    public static Settings defaults() {
      return new Settings(0.01, 100);
    }
  }

  private final Settings settings;
  private volatile double temperature = Double.NaN;

  public TemperatureScaling() {
    this(Settings.defaults());
  }

  public TemperatureScaling(Settings settings) {
    this.settings = settings;
  }

  /**
   * Tempered probabilities.
   *
   * @param logits [N, C]
   * @return [N, C]
   */
  public static Tensor probabilities(Tensor logits, double temperature) {
    return Scopes.tensor(() -> torch.softmax(logits.div(new Scalar(temperature)), -1));
  }

  /**
   * The temperature with the smallest negative log-likelihood. In the inverse temperature the loss
   * is convex, so its derivative has one root: Newton's steps, kept inside a shrinking bracket.
   *
   * @param logits [N, C], finite
   * @param labels int64 [N]
   * @return T in [lowest, highest]; a bound if the optimum lies outside
   */
  public static double fit(Tensor logits, Tensor labels, double lowest, double highest) {
    return Scopes.scoped(
        () -> {
          Tensor z = logits.detach().to(ScalarType.Double);
          double chosen = torch.gather(z, 1, labels.unsqueeze(1)).mean().item_double();
          double low = 1 / highest;
          double high = 1 / lowest;
          if (slope(z, chosen, low)[0] >= 0) {
            return highest;
          }
          if (slope(z, chosen, high)[0] <= 0) {
            return lowest;
          }
          double beta = Math.min(Math.max(1, low), high);
          for (int i = 0; i < 200; i++) {
            double[] d = slope(z, chosen, beta);
            if (d[0] > 0) {
              high = beta;
            } else {
              low = beta;
            }
            double next = d[1] > 0 ? beta - d[0] / d[1] : Double.NaN;
            if (!(next > low && next < high)) {
              next = (low + high) / 2;
            }
            if (Math.abs(next - beta) <= 1e-13 * beta) {
              return 1 / next;
            }
            beta = next;
          }
          return 1 / beta;
        });
  }

  /** First and second derivative of the mean loss in the inverse temperature. */
  private static double[] slope(Tensor z, double chosen, double beta) {
    return Scopes.scoped(
        () -> {
          Tensor p = torch.softmax(z.mul(new Scalar(beta)), 1);
          Tensor mean = p.mul(z).sum(1);
          Tensor square = p.mul(z).mul(z).sum(1);
          return new double[] {
            mean.mean().item_double() - chosen, square.sub(mean.mul(mean)).mean().item_double()
          };
        });
  }

  @Override
  public void fit(Tensor logits, Tensor labels) {
    Shapes.check().tensor("logits", logits, "N", "C").tensor("labels", labels, "N");
    Shapes.notEmpty("logits", logits);
    Shapes.finite("logits", logits);
    Shapes.labels("labels", labels, logits.size(1), false);
    double t = fit(logits, labels, settings.lowest, settings.highest);
    if (t == settings.lowest || t == settings.highest) {
      LOG.warn(
          "The fitted temperature {} is at its bound: the held-out predictions are all right, or"
              + " carry no information. Use more held-out data.",
          t);
    }
    temperature = t;
  }

  /** The fitted temperature; NaN before the fit. */
  public double temperature() {
    return temperature;
  }

  @Override
  public boolean fitted() {
    return !Double.isNaN(temperature);
  }

  @Override
  public Tensor probabilities(Tensor logits) {
    double t = requireFitted();
    Shapes.check().tensor("The logits", logits, "N", "C");
    Shapes.finite("The logits", logits);
    return probabilities(logits, t);
  }

  @Override
  public boolean keepsRanking() {
    return true;
  }

  @Override
  public long parameterCount() {
    return 1;
  }

  @Override
  public double[] confidences(float[] logits, int classes, int[] predicted) {
    double t = requireFitted();
    double[] top = new double[predicted.length];
    for (int i = 0; i < top.length; i++) {
      int row = i * classes;
      double largest = logits[row + predicted[i]];
      double sum = 0;
      for (int c = 0; c < classes; c++) {
        sum += Math.exp((logits[row + c] - largest) / t);
      }
      top[i] = 1 / sum;
    }
    return top;
  }

  private double requireFitted() {
    double t = temperature;
    if (Double.isNaN(t)) {
      throw new OutriggerException("Temperature scaling is not fitted yet: call fit first.");
    }
    return t;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    return new State(
        "calibrator/temperature",
        1,
        Map.of("settings", Methods.values(settings), "temperature", requireFitted()),
        Map.of());
  }

  @Override
  public void restore(State state) {
    double t = state.expect("calibrator/temperature", 1).number("temperature");
    if (!(t > 0) || Double.isInfinite(t)) {
      throw new OutriggerException("The saved temperature " + t + " is not a positive number.");
    }
    temperature = t;
  }
}
