package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Adaptive prediction sets: the likeliest labels until enough probability is gathered, so that hard
 * inputs get larger sets. The score is the probability of all labels ranked above y, plus u times
 * that of y itself: {@code s(x, y) = sum_{j above y} p_j + u p_y}. u is in (0, 1), see {@link
 * LabelScore}; u = 1 without randomisation, which makes larger sets that cover more than asked.
 *
 * <p>Romano, Sesia, Candès, "Classification with Valid and Adaptive Coverage", NeurIPS 2020.
 */
@Card(
    slug = "aps",
    name = "APS",
    summary = "Label sets that grow with difficulty: the likeliest labels up to a fitted mass.",
    paper = "Romano, Sesia, Candès. Classification with Valid and Adaptive Coverage. NeurIPS 2020",
    year = 2020,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "one threshold")
public final class Aps extends SplitConformal<Aps.Settings> {
  /**
   * @param alpha the share of sets that may miss the true label, in (0, 1)
   * @param randomised whether the last label is taken or left by chance, which makes coverage exact
   * @param allowEmpty whether a set may be empty, which randomisation makes happen; otherwise it
   *     gets the likeliest label, and coverage rises
   * @param seed of the randomisation
   */
  public record Settings(double alpha, boolean randomised, boolean allowEmpty, long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.1, true, true, 0);
    }
  }

  public Aps() {
    this(Settings.defaults());
  }

  public Aps(Settings settings) {
    super(settings);
  }

  /**
   * The scores of all labels.
   *
   * @param probabilities [N, C]
   * @param u [N], in [0, 1]
   * @return float64 [N, C]
   */
  public static Tensor scores(Tensor probabilities, Tensor u) {
    return Raps.scores(probabilities, u, 0, 0);
  }

  @Override
  protected double alpha(Settings settings) {
    return settings.alpha;
  }

  @Override
  protected boolean allowEmpty(Settings settings) {
    return settings.allowEmpty;
  }

  @Override
  protected LabelScore score(Settings settings, Learned learned) {
    return new LabelScore(LabelScore.Kind.APS, settings.randomised, 0, 0, settings.seed);
  }
}
