package org.outrigger.detect;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * VRA (its plain variant VRA-P): weak activations are dropped and strong ones capped before the
 * energy is read, {@code g(z) = 0} below the low threshold, {@code z} between, and the high
 * threshold above it. The thresholds are percentiles of all known activations.
 *
 * <p>Xu et al., "VRA: Variational Rectified Activation for Out-of-Distribution Detection", NeurIPS
 * 2023.
 */
@Card(
    slug = "vra",
    name = "VRA",
    summary = "Energy after dropping weak and capping strong activations.",
    paper =
        "Xu et al. VRA: Variational Rectified Activation for Out-of-Distribution Detection. NeurIPS"
            + " 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "two thresholds and a copy of the head")
public final class Vra extends FittedDetector<Vra.Settings> {
  /**
   * @param low the percentile below which an activation becomes 0, in [0, 100]
   * @param high the percentile at which activations are capped, in [low, 100]
   */
  public record Settings(double low, double high) {
    public Settings {
      HyperParameter.between("low", low, 0, 100);
      HyperParameter.between("high", high, low, 100);
    }

    public static Settings defaults() {
      return new Settings(60, 95);
    }
  }

  public Vra() {
    this(Settings.defaults());
  }

  public Vra(Settings settings) {
    super(settings);
  }

  /**
   * The rectified activations.
   *
   * @param features any shape
   * @return the same shape
   */
  public static Tensor rectify(Tensor features, double low, double high) {
    return features
        .masked_fill(features.lt(new Scalar(low)), new Scalar(0.0))
        .clamp_max(new Scalar(high));
  }

  /**
   * The energy of the head on rectified features, in the features' type.
   *
   * @param features [N, D]
   * @return [N]
   */
  public static Tensor score(Tensor features, LinearHead head, double low, double high) {
    return head.apply(rectify(features, low, high)).logsumexp(1).neg();
  }

  /** Linear interpolation between order statistics at {@code (n - 1) percentile / 100}. */
  private static double percentile(Tensor sorted, double percentile) {
    double at = (sorted.numel() - 1) * percentile / 100;
    long below = (long) at;
    double low = sorted.select(0, below).item_double();
    double high = sorted.select(0, Math.min(below + 1, sorted.numel() - 1)).item_double();
    return low + (at - below) * (high - low);
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = known.requireHead(who());
    List<Tensor> parts = new ArrayList<>();
    try {
      Rows.forEach(who(), known, rows -> parts.add(Scopes.own(rows.features().flatten().clone())));
      Tensor sorted =
          torch.sort(torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0)).get0();
      double low = percentile(sorted, settings().low());
      double high = percentile(sorted, settings().high());
      return new Fitted(known.classes(), head.weight().size(1))
          .with("low", low)
          .with("high", high)
          .with(head);
    } finally {
      parts.forEach(Scopes::release);
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved weight", fitted.tensor("weight"), "C", "D")
        .tensor("The saved bias", fitted.tensor("bias"), "C");
    HyperParameter.require(
        fitted.number("low") <= fitted.number("high"),
        "low",
        fitted.number("low"),
        "at most high = " + fitted.number("high"));
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    return score(
        rows.features(),
        fitted.head(rows.features().scalar_type().intern()),
        fitted.number("low"),
        fitted.number("high"));
  }
}
