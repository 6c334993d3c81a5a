package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Maximum concept matching, for zero-shot classifiers: the logits are the cosines between an image
 * and the text of each class. The score is {@code -max_c softmax(s / tau)_c}.
 *
 * <p>The default tau of 1 is for raw cosines in [-1, 1]. If the model's logits already carry the
 * scale of CLIP (usually 100), set tau to that scale to get the paper's score.
 *
 * <p>Ming et al., "Delving into Out-of-Distribution Detection with Vision-Language
 * Representations", NeurIPS 2022.
 */
@Card(
    slug = "mcm",
    name = "MCM",
    summary = "For zero-shot models: no text matches the image well. Logits must be cosines.",
    paper =
        "Ming et al. Delving into Out-of-Distribution Detection with Vision-Language"
            + " Representations. NeurIPS 2022",
    year = 2022,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class Mcm extends LogitDetector<Mcm.Settings> {
  /**
   * @param tau the temperature, above 0; 1 in the paper
   */
  public record Settings(double tau) {
    public Settings {
      HyperParameter.positive("tau", tau);
    }

    public static Settings defaults() {
      return new Settings(1);
    }
  }

  public Mcm() {
    this(Settings.defaults());
  }

  public Mcm(Settings settings) {
    super(settings);
  }

  /**
   * The score in float64.
   *
   * @param cosines [N, C]
   * @return [N], in [-1, -1/C]
   */
  public static Tensor score(Tensor cosines, double tau) {
    return Msp.score(cosines, tau);
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    return score(logits, settings().tau());
  }
}
