package org.outrigger.calibrate;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Isotonic regression: the non-decreasing map of probabilities to frequencies that fits held-out
 * data best, without any other shape. With several classes one map for each against the rest
 * (Zadrozny and Elkan, KDD 2002), or one map for all N C pairs, which keeps the ranking of classes
 * (Zhang, Kailkhura, Han, Mix-n-Match, ICML 2020); then normalised.
 */
@Card(
    slug = "isotonic",
    name = "Isotonic regression",
    summary = "The best rising map from probabilities to frequencies; needs much held-out data.",
    paper =
        "Zadrozny, Elkan, Transforming classifier scores into accurate multiclass probability"
            + " estimates, KDD 2002",
    year = 2002,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "the ends and levels of the steps")
public final class Isotonic extends FittedCalibrator<Isotonic.Settings> {
  /** How much of the probability itself is added, so that equal levels keep the ranking. */
  private static final double RANKING = 1e-9;

  /** How many maps there are. */
  public enum Maps {
    /** One for each class against the rest (IROvA). */
    PER_CLASS,
    /** One for all classes (IRM), which keeps their ranking. */
    SHARED
  }

  /**
   * @param maps a map for each class or one for all
   */
  public record Settings(Maps maps) {
    public static Settings defaults() {
      return new Settings(Maps.PER_CLASS);
    }
  }

  public Isotonic() {
    this(Settings.defaults());
  }

  public Isotonic(Settings settings) {
    super(settings);
  }

  /**
   * One map, by pooling adjacent violators; equal values count with their mean outcome.
   *
   * @param p [N], any shape
   * @param outcomes 0 or 1, of the same shape
   * @return float64 [2, 1, M], the ends of the steps over their levels
   */
  public static Tensor fitMap(Tensor p, Tensor outcomes) {
    return MonotoneFit.stacked(MonotoneFit.of(Tensors.doubles(p), Tensors.doubles(outcomes)));
  }

  /**
   * A map for each class against the rest.
   *
   * @param p [N, C]
   * @param labels int64 [N]
   * @return float64 [2, C, M]
   */
  public static Tensor fitPerClass(Tensor p, Tensor labels) {
    return Scopes.tensor(
        () -> {
          Tensor target = ConvexFit.oneHot(labels, p.size(1));
          MonotoneFit[] fits = new MonotoneFit[Math.toIntExact(p.size(1))];
          for (int c = 0; c < fits.length; c++) {
            fits[c] =
                MonotoneFit.of(
                    Tensors.doubles(p.select(1, c)), Tensors.doubles(target.select(1, c)));
          }
          return MonotoneFit.stacked(fits);
        });
  }

  /**
   * Linear interpolation between the ends of the steps, constant outside of them.
   *
   * @param p float64 [K, N], a row for each map
   * @param map [2, K, M]
   * @return [K, N], in [0, 1]
   */
  public static Tensor interpolate(Tensor p, Tensor map) {
    return Scopes.tensor(
        () -> {
          Tensor x = map.select(0, 0).contiguous();
          Tensor y = map.select(0, 1).contiguous();
          Tensor right =
              torch
                  .searchsorted(x, p.contiguous())
                  .clamp(
                      new ScalarOptional(new Scalar(0)),
                      new ScalarOptional(new Scalar(x.size(1) - 1)));
          Tensor left = right.sub(new Scalar(1)).clamp_min(new Scalar(0));
          Tensor from = x.gather(1, left);
          Tensor width = x.gather(1, right).sub(from);
          Tensor flat = width.le(new Scalar(0));
          Tensor part =
              p.sub(from)
                  .div(width.masked_fill(flat, new Scalar(1.0)))
                  .masked_fill(flat, new Scalar(0.0))
                  .clamp(new ScalarOptional(new Scalar(0.0)), new ScalarOptional(new Scalar(1.0)));
          Tensor low = y.gather(1, left);
          Tensor high = y.gather(1, right);
          return low.add(high.sub(low).mul(part));
        });
  }

  /**
   * The mapped probabilities before they are normalised, plus 1e-9 p as in Mix-n-Match's code.
   *
   * @param p float64 [N, C]
   * @param map [2, C, M], or [2, 1, M] for all classes
   * @return [N, C]
   */
  public static Tensor raw(Tensor p, Tensor map) {
    return Scopes.tensor(
        () -> {
          Tensor mapped =
              map.size(1) == 1
                  ? interpolate(p.reshape(1, -1), map).view(p.shape())
                  : interpolate(p.t(), map).t();
          return mapped.add(p.mul(new Scalar(RANKING)));
        });
  }

  /** As {@link #raw}, normalised. */
  public static Tensor probabilities(Tensor p, Tensor map) {
    return OneVersusRest.normalised(raw(p, map));
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    Tensor p = torch.softmax(logits, 1);
    if (settings().maps == Maps.SHARED) {
      return new Fitted(
          logits.size(1), Map.of("map", fitMap(p, ConvexFit.oneHot(labels, logits.size(1)))));
    }
    ConvexFit.requireEachClass("isotonic regression for each class", labels, logits.size(1));
    return new Fitted(logits.size(1), Map.of("map", fitPerClass(p, labels)));
  }

  @Override
  boolean parametric() {
    return false;
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    Tensor map = fitted.tensor("map");
    shapes.tensor("map", map, "2", map.dim() == 3 && map.size(1) == 1 ? "1" : "C", "M");
    Shapes.notEmpty("map", map);
    boolean rises = map.size(2) == 1 || torch.diff(map).ge(new Scalar(0)).all().item_bool();
    if (!rises) {
      throw new OutriggerException("The saved isotonic map does not rise: the file is damaged.");
    }
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    return probabilities(torch.softmax(logits, 1), fitted.tensor("map"));
  }

  @Override
  public boolean keepsRanking() {
    return settings().maps == Maps.SHARED;
  }
}
