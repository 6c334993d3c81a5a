package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Entropy of the prediction: how spread the probability is over the classes. The score is {@code
 * -sum_c p_c log p_c} with natural logarithms, from log-softmax, so that a vanishing probability
 * counts as 0 and not as NaN.
 *
 * <p>Chan, Rottmann, Gottschalk, "Entropy Maximization and Meta Classification for
 * Out-of-Distribution Detection in Semantic Segmentation", ICCV 2021, and earlier folklore.
 */
@Card(
    slug = "entropy",
    name = "Entropy",
    summary = "A prediction that is spread over many classes means unknown; needs no fitting.",
    paper =
        "Chan, Rottmann, Gottschalk. Entropy Maximization and Meta Classification for"
            + " Out-of-Distribution Detection in Semantic Segmentation. ICCV 2021",
    year = 2021,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class Entropy extends LogitDetector<Entropy.Settings> {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public Entropy() {
    this(Settings.defaults());
  }

  public Entropy(Settings settings) {
    super(settings);
  }

  /**
   * The score in float64.
   *
   * @param logits [N, C]
   * @return [N], in nats, from 0 to log C
   */
  public static Tensor score(Tensor logits) {
    Tensor logP = torch.log_softmax(logits.to(ScalarType.Double), 1);
    return logP.exp().mul(logP).sum(1).neg();
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    return score(logits);
  }
}
