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
 * GEN, a generalised entropy that amplifies small departures from a sure prediction. The score is
 * the sum over the M largest probabilities of {@code p^gamma (1 - p)^gamma}.
 *
 * <p>Liu, Lochman, Zach, "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection",
 * CVPR 2023.
 */
@Card(
    slug = "gen",
    name = "GEN",
    summary = "Generalised entropy of the top classes; often the best of the logit-only scores.",
    paper =
        "Liu, Lochman, Zach. GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection."
            + " CVPR 2023",
    year = 2023,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class Gen extends LogitDetector<Gen.Settings> {
  /**
   * @param gamma the exponent, above 0; 0.1 in the paper
   * @param m how many of the largest probabilities count; all when there are fewer classes; 100 in
   *     the paper
   */
  public record Settings(double gamma, int m) {
    public Settings {
      HyperParameter.positive("gamma", gamma);
      HyperParameter.atLeast("m", m, 1);
    }

    public static Settings defaults() {
      return new Settings(0.1, 100);
    }
  }

  public Gen() {
    this(Settings.defaults());
  }

  public Gen(Settings settings) {
    super(settings);
  }

  /**
   * The score in float64: {@code 1 - p} of a sure prediction is lost in float32.
   *
   * @param logits [N, C]
   * @return [N], 0 or more
   */
  public static Tensor score(Tensor logits, double gamma, int m) {
    Tensor p = torch.softmax(logits.to(ScalarType.Double), 1);
    Tensor top = m < p.size(1) ? torch.topk(p, m).get0() : p;
    Tensor rest = top.neg().add(new Scalar(1.0));
    return top.mul(rest).pow(new Scalar(gamma)).sum(1);
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    return score(logits, settings().gamma(), settings().m());
  }
}
