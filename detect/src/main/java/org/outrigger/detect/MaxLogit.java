package org.outrigger.detect;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Maximum logit: how strongly the best class answers, before softmax compares it with the others.
 * The score is {@code -max_c f_c}.
 *
 * <p>Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022.
 */
@Card(
    slug = "maxlogit",
    name = "MaxLogit",
    summary = "A weak strongest logit means unknown; good with many similar classes.",
    paper =
        "Hendrycks et al. Scaling Out-of-Distribution Detection for Real-World Settings. ICML 2022",
    year = 2022,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class MaxLogit extends LogitDetector<MaxLogit.Settings> {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public MaxLogit() {
    this(Settings.defaults());
  }

  public MaxLogit(Settings settings) {
    super(settings);
  }

  /**
   * The score.
   *
   * @param logits [N, C]
   * @return [N]
   */
  public static Tensor score(Tensor logits) {
    return logits.amax(new long[] {1}, false).neg();
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    return score(logits);
  }
}
