package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Rectified activations: unknown inputs excite some features far too much; cut them off before the
 * head. The score is the energy of {@code W min(z, c) + b}, where c is a percentile of all
 * activations of the known data.
 *
 * <p>Sun, Guo, Li, "ReAct: Out-of-distribution Detection With Rectified Activations", NeurIPS 2021.
 */
@Card(
    slug = "react",
    name = "ReAct",
    summary = "Energy after cutting off the highest activations.",
    paper =
        "Sun, Guo, Li. ReAct: Out-of-distribution Detection With Rectified Activations. "
            + "NeurIPS 2021",
    year = 2021,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "threshold, copy of the head")
public final class ReAct extends FittedDetector<ReAct.Settings> {
  /**
   * @param percentile where activations are cut off, from 0 to 100; 90 in the paper
   */
  public record Settings(double percentile) {
    public Settings {
      HyperParameter.between("percentile", percentile, 0, 100);
    }

    public static Settings defaults() {
      return new Settings(90);
    }
  }

  public ReAct() {
    this(Settings.defaults());
  }

  public ReAct(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param features [N, D]
   * @param head the linear head
   * @param threshold c
   * @return [N]
   */
  public static Tensor score(Tensor features, LinearHead head, double threshold) {
    return Scopes.tensor(() -> HeadEnergy.of(features.clamp_max(new Scalar(threshold)), head));
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = HeadEnergy.check(known, who());
    double threshold =
        Percentile.of(
            settings().percentile(),
            part ->
                Rows.forEach(
                    who(), known, rows -> part.accept(rows.features(head.weight().size(1)))));
    return new Fitted(known.classes(), head.weight().size(1))
        .with(head)
        .with("threshold", threshold);
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
    fitted.number("threshold");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features();
    return score(
        features, fitted.head(features.scalar_type().intern()), fitted.number("threshold"));
  }
}
