package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Shapes;

/**
 * NCI: in a collapsed network known features lie along their class's weight vector and far from the
 * origin. The score is {@code -(<w_y, z - mu> / ||z - mu|| + alpha ||z||_1)} with y the predicted
 * class and mu the mean of the known features.
 *
 * <p>Liu and Qin, "Detecting Out-of-Distribution through the Lens of Neural Collapse", CVPR 2025.
 */
@Card(
    slug = "nci",
    name = "NCI",
    summary = "Alignment of the centred feature with the predicted class's weights, plus its norm.",
    paper =
        "Liu, Qin. Detecting Out-of-Distribution through the Lens of Neural Collapse. CVPR 2025",
    year = 2025,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.FEATURES, Need.LINEAR_HEAD},
    state = "the mean feature and a copy of the head's weight")
public final class Nci extends FittedDetector<Nci.Settings> {
  /**
   * @param alpha the weight of the feature's L1 norm, 0 or more; the paper tries 1e-4 to 0.1
   */
  public record Settings(double alpha) {
    public Settings {
      HyperParameter.notNegative("alpha", alpha);
    }

    public static Settings defaults() {
      return new Settings(1e-4);
    }
  }

  public Nci() {
    this(Settings.defaults());
  }

  public Nci(Settings settings) {
    super(settings);
  }

  /**
   * The score in float64. A feature equal to the mean has alignment 0.
   *
   * @param features [N, D]
   * @param logits [N, C]
   * @param weight [C, D], of the last linear layer
   * @param mean [D], of the known features
   * @return [N]
   */
  public static Tensor score(
      Tensor features, Tensor logits, Tensor weight, Tensor mean, double alpha) {
    Tensor z = features.to(ScalarType.Double);
    Tensor centred = z.sub(mean);
    Tensor chosen = weight.to(ScalarType.Double).index_select(0, Classes.predicted(logits));
    Tensor length = centred.norm(new ScalarOptional(new Scalar(2)), 1);
    Tensor alignment =
        chosen.mul(centred).sum(1).div(length.clamp_min(new Scalar(Double.MIN_NORMAL)));
    return alignment.add(z.abs().sum(1).mul(new Scalar(alpha))).neg();
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = known.requireHead(who());
    long dimension = head.weight().size(1);
    Tensor sum = torch.zeros(new long[] {dimension}, new TensorOptions(ScalarType.Double));
    long count =
        Rows.forEach(
            who(),
            known,
            rows -> {
              Shapes.check()
                  .size("D", dimension, "the model's head")
                  .tensor("The features", rows.features(), "N", "D");
              sum.add_(rows.features().to(ScalarType.Double).sum(0));
            });
    return new Fitted(known.classes(), dimension)
        .with("mean", sum.div(new Scalar((double) count)))
        .with("weight", head.weight().detach().clone());
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved mean", fitted.tensor("mean"), "D")
        .tensor("The saved weight", fitted.tensor("weight"), "C", "D");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    return score(
        rows.features(),
        rows.logits(),
        fitted.tensor("weight"),
        fitted.tensor("mean"),
        settings().alpha());
  }
}
