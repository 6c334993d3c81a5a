package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * Least ambiguous set-valued classifier: every label whose probability is at least a threshold. The
 * score is {@code s(x, y) = 1 - p_y}; sets hold the labels with {@code s <= q}, q the
 * ceil((n+1)(1-alpha))-th smallest score of the held-out true labels. Sets are as small as they can
 * be on average; hard inputs may get too few labels, even none.
 *
 * <p>Sadinle, Lei, Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels",
 * JASA 2019.
 */
@Card(
    slug = "lac",
    name = "LAC",
    summary = "Label sets by one probability threshold: the smallest on average.",
    paper =
        "Sadinle, Lei, Wasserman. Least Ambiguous Set-Valued Classifiers with Bounded Error Levels."
            + " JASA 2019",
    year = 2019,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "one threshold")
public final class Lac extends SplitConformal<Lac.Settings> {
  /**
   * @param alpha the share of sets that may miss the true label, in (0, 1)
   * @param allowEmpty whether a set may be empty; otherwise it gets the likeliest label, and
   *     coverage rises
   */
  public record Settings(double alpha, boolean allowEmpty) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.1, true);
    }
  }

  public Lac() {
    this(Settings.defaults());
  }

  public Lac(Settings settings) {
    super(settings);
  }

  /**
   * The scores of all labels.
   *
   * @param probabilities [N, C]
   * @return float64 [N, C]
   */
  public static Tensor scores(Tensor probabilities) {
    return Scopes.noGrad(() -> probabilities.to(ScalarType.Double).neg().add(new Scalar(1.0)));
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
    return LabelScore.lac();
  }
}
