package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Energy: how much evidence the logits claim in total. The score is {@code -T log sum_c exp(f_c /
 * T)}, computed shifted by the largest logit.
 *
 * <p>Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.
 */
@Card(
    slug = "energy",
    name = "Energy",
    summary = "Little total evidence in the logits means unknown; needs no fitting.",
    paper = "Liu, Wang, Owens, Li. Energy-based Out-of-distribution Detection. NeurIPS 2020",
    year = 2020,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class Energy extends LogitDetector<Energy.Settings> {
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

  public Energy() {
    this(Settings.defaults());
  }

  public Energy(Settings settings) {
    super(settings);
  }

  /**
   * The score, in the logits' type.
   *
   * @param logits [N, C]
   * @return [N]
   */
  public static Tensor score(Tensor logits, double temperature) {
    if (temperature == 1) {
      return logits.logsumexp(1).neg();
    }
    return logits.div(new Scalar(temperature)).logsumexp(1).mul(new Scalar(-temperature));
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    return score(logits, settings().temperature());
  }
}
