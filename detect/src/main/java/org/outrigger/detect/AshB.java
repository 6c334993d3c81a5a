package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Shapes;

/**
 * ASH-B, activation shaping: the k largest activations of each input are kept and made binary. The
 * score is the energy of the head on {@link Ash#shape shaped activations}: with s1 the sum of all
 * and s2 that of the kept ones, ASH-B sets each to s1 / k.
 *
 * <p>Djurisic et al., "Extremely Simple Activation Shaping for Out-of-Distribution Detection", ICLR
 * 2023.
 */
@Card(
    slug = "ash-b",
    name = "ASH-B",
    summary = "Energy after keeping each input's largest activations, made binary.",
    paper =
        "Djurisic, Bozanic, Ashok, Liu. Extremely Simple Activation Shaping for "
            + "Out-of-Distribution Detection. ICLR 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD},
    state = "copy of the head")
public final class AshB extends FittedDetector<AshB.Settings> {
  /**
   * @param percentile how much of an activation is dropped, from 0 to below 100; 90 by default
   */
  public record Settings(double percentile) {
    public Settings {
      HyperParameter.require(
          percentile >= 0 && percentile < 100, "percentile", percentile, "0 or more, below 100");
    }

    public static Settings defaults() {
      return new Settings(90);
    }
  }

  public AshB() {
    this(Settings.defaults());
  }

  public AshB(Settings settings) {
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
    return Ash.score(fitted, rows, settings().percentile(), Ash.Variant.B);
  }
}
