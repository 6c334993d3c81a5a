package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Ensemble temperature scaling: p = w1 softmax(z / T) + w2 softmax(z) + w3 / C with weights that
 * sum to one. T and then the weights minimise the mean squared error of held-out data; the ranking
 * of classes stays. Zhang, Kailkhura, Han, Mix-n-Match, ICML 2020.
 */
@Card(
    slug = "ensemble-temperature",
    name = "Ensemble temperature scaling",
    summary = "Mixes tempered, plain and uniform predictions; accuracy unchanged, four numbers.",
    paper =
        "Zhang, Kailkhura, Han, Mix-n-Match: Ensemble and Compositional Methods for Uncertainty"
            + " Calibration, ICML 2020",
    year = 2020,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "the temperature and three weights")
public final class EnsembleTemperatureScaling
    extends FittedCalibrator<EnsembleTemperatureScaling.Settings> {
  private static final double LOWEST = 0.05;
  private static final double HIGHEST = 5;
  private static final double GOLDEN = (Math.sqrt(5) - 1) / 2;

  /** It has no hyper-parameters. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public EnsembleTemperatureScaling() {
    this(Settings.defaults());
  }

  public EnsembleTemperatureScaling(Settings settings) {
    super(settings);
  }

  /**
   * The mixture.
   *
   * @param logits [N, C]
   * @param weights of the tempered, the plain and the uniform prediction, on the simplex
   * @return [N, C]
   */
  public static Tensor probabilities(Tensor logits, double temperature, double[] weights) {
    return Scopes.tensor(
        () ->
            TemperatureScaling.probabilities(logits, temperature)
                .mul(new Scalar(weights[0]))
                .add(torch.softmax(logits, 1).mul(new Scalar(weights[1])))
                .add(new Scalar(weights[2] / logits.size(1))));
  }

  /**
   * The temperature in [0.05, 5] whose tempered softmax has the smallest mean squared error over
   * all N C entries: the best of a grid, refined by golden section.
   *
   * @param logits float64 [N, C], finite
   * @param labels int64 [N]
   */
  public static double fitTemperature(Tensor logits, Tensor labels) {
    return Scopes.scoped(
        () -> {
          Tensor target = ConvexFit.oneHot(labels, logits.size(1));
          int steps = 60;
          double width = Math.log(HIGHEST / LOWEST) / steps;
          double best = 0;
          double least = Double.POSITIVE_INFINITY;
          for (int i = 0; i <= steps; i++) {
            double at = Math.log(LOWEST) + i * width;
            double error = error(logits, target, at);
            if (error < least) {
              least = error;
              best = at;
            }
          }
          double low = Math.max(Math.log(LOWEST), best - width);
          double high = Math.min(Math.log(HIGHEST), best + width);
          double left = high - GOLDEN * (high - low);
          double right = low + GOLDEN * (high - low);
          double atLeft = error(logits, target, left);
          double atRight = error(logits, target, right);
          while (high - low > 1e-9) {
            if (atLeft <= atRight) {
              high = right;
              right = left;
              atRight = atLeft;
              left = high - GOLDEN * (high - low);
              atLeft = error(logits, target, left);
            } else {
              low = left;
              left = right;
              atLeft = atRight;
              right = low + GOLDEN * (high - low);
              atRight = error(logits, target, right);
            }
          }
          return Math.exp((low + high) / 2);
        });
  }

  private static double error(Tensor logits, Tensor target, double logTemperature) {
    return Scopes.scoped(
        () ->
            TemperatureScaling.probabilities(logits, Math.exp(logTemperature))
                .sub(target)
                .square()
                .mean()
                .item_double());
  }

  /**
   * The weights on the simplex with the smallest mean squared error, exactly: the best of the
   * minima over the simplex's corners, edges and inside.
   *
   * @param logits float64 [N, C], finite
   * @param labels int64 [N]
   * @return for the tempered, the plain and the uniform prediction
   */
  public static double[] fitWeights(Tensor logits, Tensor labels, double temperature) {
    return Scopes.scoped(
        () -> {
          Tensor target = ConvexFit.oneHot(labels, logits.size(1));
          Tensor plain = torch.softmax(logits, 1);
          // Residuals of the three, so that the error of weights w is w' G w.
          Tensor residuals =
              torch
                  .stack(
                      new TensorVector(
                          TemperatureScaling.probabilities(logits, temperature).sub(target),
                          plain.sub(target),
                          torch.full_like(plain, new Scalar(1.0 / logits.size(1))).sub(target)),
                      0)
                  .flatten(1, -1);
          Tensor gram = residuals.matmul(residuals.t()).div(new Scalar((double) target.numel()));
          double[] best = {1, 0, 0};
          double least = Double.POSITIVE_INFINITY;
          for (int[] face : new int[][] {{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}) {
            double[] weights = onFace(gram, face);
            Tensor w = Tensors.of(weights, 3);
            double error = gram.matmul(w).dot(w).item_double();
            if (error < least) {
              least = error;
              best = weights;
            }
          }
          return best;
        });
  }

  /** The minimum of w' G w with sum 1 over some of the weights; a corner if it lies outside. */
  private static double[] onFace(Tensor gram, int[] face) {
    double[] weights = new double[3];
    long[] index = java.util.Arrays.stream(face).asLongStream().toArray();
    Tensor rows = Tensors.of(index, index.length);
    Tensor part = gram.index_select(0, rows).index_select(1, rows);
    // Two of the three may be the same prediction: the pseudo-inverse shares their weight.
    Tensor solved = torch.linalg_pinv(part).sum(1);
    double[] w = Tensors.doubles(solved.div(solved.sum()));
    boolean inside = true;
    for (double value : w) {
      inside &= value >= 0;
    }
    if (inside) {
      for (int i = 0; i < face.length; i++) {
        weights[face[i]] = w[i];
      }
    } else {
      weights[face[0]] = 1;
    }
    return weights;
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    double temperature = fitTemperature(logits, labels);
    double[] w = fitWeights(logits, labels, temperature);
    return new Fitted(
        logits.size(1),
        Map.of(
            "temperatureAndWeights", Tensors.of(new double[] {temperature, w[0], w[1], w[2]}, 4)));
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("temperatureAndWeights", fitted.tensor("temperatureAndWeights"), "4");
    double[] saved = Tensors.doubles(fitted.tensor("temperatureAndWeights"));
    boolean simplex =
        saved[0] > 0
            && Math.min(saved[1], Math.min(saved[2], saved[3])) >= 0
            && Math.abs(saved[1] + saved[2] + saved[3] - 1) < 1e-9;
    if (!simplex) {
      throw new OutriggerException(
          "The saved weights of ensemble temperature scaling do not sum to one: the file is"
              + " damaged.");
    }
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    double[] p = Tensors.doubles(fitted.tensor("temperatureAndWeights"));
    return probabilities(logits, p[0], new double[] {p[1], p[2], p[3]});
  }

  @Override
  public boolean keepsRanking() {
    return true;
  }
}
