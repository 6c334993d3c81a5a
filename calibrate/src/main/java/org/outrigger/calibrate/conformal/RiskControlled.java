package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Risk-controlling prediction sets: the smallest threshold at which an upper confidence bound of
 * the miss rate is at most alpha. Other predictors promise coverage on average over held-out sets
 * too; this one promises it for the held-out set at hand, with probability 1 - delta over its draw,
 * and makes somewhat larger sets. The bound is that of Hoeffding and Bentkus, see {@link
 * RiskBounds}, which also controls other losses.
 *
 * <p>Bates, Angelopoulos, Lei, Malik, Jordan, "Distribution-Free, Risk-Controlling Prediction
 * Sets", JACM 2021.
 */
@Card(
    slug = "risk-controlled",
    name = "Risk-controlled sets",
    summary = "Label sets that miss at most alpha with confidence 1 - delta in this very fit.",
    paper =
        "Bates, Angelopoulos, Lei, Malik, Jordan. Distribution-Free, Risk-Controlling Prediction"
            + " Sets. JACM 2021",
    year = 2021,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "one threshold")
public final class RiskControlled extends SplitConformal<RiskControlled.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(RiskControlled.class);

  /**
   * @param alpha the highest share of sets that may miss the true label, in (0, 1)
   * @param delta the probability that it is exceeded all the same, in (0, 1)
   * @param score of labels: LAC, APS or RAPS
   * @param randomised whether APS and RAPS are randomised
   * @param kReg of RAPS, 0 or more
   * @param lambda of RAPS, 0 or more
   * @param allowEmpty whether a set may be empty; otherwise it gets the likeliest label
   * @param seed of the randomisation
   */
  public record Settings(
      double alpha,
      double delta,
      LabelScore.Kind score,
      boolean randomised,
      int kReg,
      double lambda,
      boolean allowEmpty,
      long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      HyperParameter.inside("delta", delta, 0, 1);
      HyperParameter.atLeast("kReg", kReg, 0);
      HyperParameter.notNegative("lambda", lambda);
    }

    public static Settings defaults() {
      return new Settings(0.1, 0.1, LabelScore.Kind.LAC, true, 2, 0.1, true, 0);
    }
  }

  public RiskControlled() {
    this(Settings.defaults());
  }

  public RiskControlled(Settings settings) {
    super(settings);
  }

  @Override
  protected Learned learn(
      Settings settings, Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    int n = Math.toIntExact(labels.size(0));
    Learned next = new Learned(n, probabilities.size(1), 0);
    Tensor scores = trueLabel(score(settings, next).of(probabilities), labels);
    int misses = RiskBounds.mostMisses(n, settings.alpha, settings.delta);
    if (misses < 0) {
      LOG.warn(
          "{} held-out rows are too few for {} with alpha = {} and delta = {}: every set will hold"
              + " all labels. Give {} or more.",
          n,
          who(),
          settings.alpha,
          settings.delta,
          (long) Math.ceil(Math.log(settings.delta) / Math.log1p(-settings.alpha)));
    }
    return next.with(
        "threshold",
        misses < 0
            ? Tensors.of(new double[] {Double.POSITIVE_INFINITY}, 1)
            : torch.kthvalue(scores, n - misses, 0, false).get0().reshape(1));
  }

  @Override
  public String promise() {
    return "With probability "
        + percent(1 - settings().delta)
        + " over the draw of the "
        + required().rows()
        + " held-out rows, at least "
        + percent(coverage())
        + " of the sets hold the true label, for inputs like those rows.";
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
  protected LabelScore score(Settings s, Learned learned) {
    return new LabelScore(s.score, s.randomised, s.kReg, s.lambda, s.seed);
  }
}
