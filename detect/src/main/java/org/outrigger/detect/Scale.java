package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Shapes;

/**
 * SCALE: each input's activations are scaled by how much its largest ones stand out; none is
 * pruned. The score is the energy of the head on {@code z exp(s1 / s2)}, where s1 is the sum of the
 * activation and s2 that of its largest entries, as in {@link Ash}.
 *
 * <p>Xu et al., "Scaling for Training Time and Post-hoc Out-of-distribution Detection Enhancement",
 * ICLR 2024.
 */
@Card(
    slug = "scale",
    name = "SCALE",
    summary =
        "Energy after scaling each input's activations by how much the largest stand " + "out.",
    paper =
        "Xu, Chen, Franchi, Yao. Scaling for Training Time and Post-hoc "
            + "Out-of-distribution Detection Enhancement. ICLR 2024",
    year = 2024,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "copy of the head")
public final class Scale extends FittedDetector<Scale.Settings> {
  /**
   * @param percentile how much of an activation s2 leaves out, from 0 to below 100; 85 in the paper
   */
  public record Settings(double percentile) {
    public Settings {
      HyperParameter.require(
          percentile >= 0 && percentile < 100, "percentile", percentile, "0 or more, below 100");
    }

    public static Settings defaults() {
      return new Settings(85);
    }
  }

  public Scale() {
    this(Settings.defaults());
  }

  public Scale(Settings settings) {
    super(settings);
  }

  @Override
  protected Fitted learn(Outputs known) {
    return Ash.learn(known, settings().percentile(), who());
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    HeadEnergy.shapes(shapes, fitted);
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    return Ash.score(fitted, rows, settings().percentile(), Ash.Variant.SCALE);
  }
}
