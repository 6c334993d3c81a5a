package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Maximum softmax probability: how sure the classifier is of its best guess. The score is {@code
 * -max_c softmax(f / T)_c}.
 *
 * <p>Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples
 * in Neural Networks", ICLR 2017.
 */
@Card(
    slug = "msp",
    name = "MSP",
    summary = "Low top softmax probability means unknown: the baseline that needs logits only.",
    paper =
        "Hendrycks, Gimpel. A Baseline for Detecting Misclassified and Out-of-Distribution Examples"
            + " in Neural Networks. ICLR 2017",
    year = 2017,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class Msp extends LogitDetector<Msp.Settings> {
  /**
   * @param temperature T above 0; 1 in the paper
   */
  public record Settings(double temperature) {
    public Settings {
      HyperParameter.positive("temperature", temperature);
    }

    public static Settings defaults() {
      return new Settings(1);
    }
  }

  public Msp() {
    this(Settings.defaults());
  }

  public Msp(Settings settings) {
    super(settings);
  }

  /**
   * The score in float64, because confident float32 probabilities all round to 1.
   *
   * @param logits [N, C]
   * @return [N], in [-1, -1/C]
   */
  public static Tensor score(Tensor logits, double temperature) {
    Tensor scaled = logits.to(ScalarType.Double).div(new Scalar(temperature));
    return torch.softmax(scaled, 1).amax(new long[] {1}, false).neg();
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    return score(logits, settings().temperature());
  }
}
