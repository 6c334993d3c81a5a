package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Gradient norm: how hard the head's weights would be pulled towards a uniform prediction; a known
 * input pulls hard. The score is the closed form {@code -(sum_c |C p_c - 1|) (sum_j |z_j|)}: minus
 * the L1 norm of the gradient of {@code sum_c -log p_c} with respect to the weights.
 *
 * <p>Huang, Geng, Li, "On the Importance of Gradients for Detecting Distributional Shifts in the
 * Wild", NeurIPS 2021.
 */
@Card(
    slug = "gradnorm",
    name = "GradNorm",
    summary = "A small gradient of the head towards a uniform prediction means unknown.",
    paper =
        "Huang, Geng, Li. On the Importance of Gradients for Detecting Distributional "
            + "Shifts in the Wild. NeurIPS 2021",
    year = 2021,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "copy of the head")
public final class GradNorm extends FittedDetector<GradNorm.Settings> {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public GradNorm() {
    this(Settings.defaults());
  }

  public GradNorm(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param logits [N, C]
   * @return float64 [N], 0 or less
   */
  public static Tensor score(Tensor features, Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits.to(ScalarType.Double), 1);
          Tensor pull = p.mul(new Scalar((double) p.size(1))).sub(new Scalar(1.0)).abs().sum(1);
          return pull.mul(features.to(ScalarType.Double).abs().sum(1)).neg();
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    return HeadEnergy.learn(known, who());
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    LinearHead head = fitted.head(features.scalar_type().intern());
    return score(features, head.apply(features));
  }
}
