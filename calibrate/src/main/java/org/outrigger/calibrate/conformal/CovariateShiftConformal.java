package org.outrigger.calibrate.conformal;

import java.util.Locale;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Conformal prediction under covariate shift: held-out rows count by how much likelier they are
 * among the target's inputs, {@code w(x) = p_target(x) / p_held(x)}. For each new x the threshold
 * is the smallest score whose cumulative weight reaches 1 - alpha of {@code sum_i w(x_i) + w(x)}.
 *
 * <p>Call {@link #target} with unlabelled features of the inputs to come, then fit: a logistic
 * regression between target and held-out features gives the weights, odds times the ratio of sizes,
 * clipped. A held-out row is weighed by a regression that has not seen its part of the rows, a new
 * one by the mean log odds of all of them. Known weights go in by {@link #fitWith} and {@link
 * #setsWith}. The promise is exact for true weights; with estimated ones it holds as far as the
 * regression is right, and only where held-out and target inputs overlap: watch {@link
 * #effectiveSize}.
 *
 * <p>Tibshirani, Barber, Candès, Ramdas, "Conformal Prediction Under Covariate Shift", NeurIPS
 * 2019.
 */
@Card(
    slug = "covariate-shift-conformal",
    name = "Covariate-shift conformal",
    summary = "Label sets for inputs that differ from the held-out ones, reweighted to a target.",
    paper =
        "Tibshirani, Barber, Candès, Ramdas. Conformal Prediction Under Covariate Shift."
            + " NeurIPS 2019",
    year = 2019,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.FEATURES, Need.LABELS},
    state = "held-out scores and weights, a logistic regression")
public final class CovariateShiftConformal
    extends SplitConformal<CovariateShiftConformal.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(CovariateShiftConformal.class);

  /**
   * @param alpha the share of sets that may miss the true label, in (0, 1)
   * @param score of labels: LAC, APS or RAPS
   * @param randomised whether APS and RAPS are randomised
   * @param kReg of RAPS, 0 or more
   * @param lambda of RAPS, 0 or more
   * @param l2 the ridge of the logistic regression on standardised features, above 0
   * @param folds parts of the held-out rows for weights that have not seen their row, 2 or more
   * @param clip estimated weights stay within [1 / clip, clip], above 1
   * @param allowEmpty whether a set may be empty; otherwise it gets the likeliest label
   * @param seed of the randomisation and of the parts
   */
  public record Settings(
      double alpha,
      LabelScore.Kind score,
      boolean randomised,
      int kReg,
      double lambda,
      double l2,
      int folds,
      double clip,
      boolean allowEmpty,
      long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      HyperParameter.atLeast("kReg", kReg, 0);
      HyperParameter.notNegative("lambda", lambda);
      HyperParameter.positive("l2", l2);
      HyperParameter.atLeast("folds", folds, 2);
      HyperParameter.require(
          clip > 1 && Double.isFinite(clip), "clip", clip, "a finite number above 1");
    }

    public static Settings defaults() {
      return new Settings(0.1, LabelScore.Kind.LAC, true, 2, 0.1, 0.01, 5, 100, true, 0);
    }
  }

  private @Nullable Tensor target;

  public CovariateShiftConformal() {
    this(Settings.defaults());
  }

  public CovariateShiftConformal(Settings settings) {
    super(settings);
  }

  /** Takes the features [M, D] of inputs to come, two or more; the next fit is made for them. */
  @Override
  public void target(Tensor features) {
    Shapes.check().tensor("features of the target", features, "M", "D");
    Shapes.notEmpty("features of the target", features);
    Shapes.finite("features of the target", features);
    if (features.size(0) < 2) {
      throw new OutriggerException(
          who()
              + " needs two target inputs or more to learn where they lie; some hundreds better.");
    }
    Tensor next = Scopes.scoped(() -> Scopes.own(features.detach().to(ScalarType.Double).clone()));
    Scopes.release(target);
    target = next;
  }

  @Override
  protected Learned learn(
      Settings settings, Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    Tensor aim = target;
    if (aim == null) {
      throw new OutriggerException(
          who()
              + " has no target: call target with unlabelled features of the inputs to come before"
              + " the fit, or fitWith if you know the weights.");
    }
    if (features == null) {
      throw new OutriggerException(
          who() + " needs the features of the held-out rows: use a model that gives features.");
    }
    Shapes.check()
        .size("N", labels.size(0), "labels")
        .size("D", aim.size(1), "the target")
        .tensor("features", features, "N", "D");
    Shapes.finite("features", features);
    long n = labels.size(0);
    if (n < 2L * settings.folds) {
      throw new OutriggerException(
          who()
              + " with "
              + settings.folds
              + " folds needs "
              + 2L * settings.folds
              + " held-out rows or more, but there are "
              + n
              + ": give more, or lower folds.");
    }
    Tensor scale = DomainClassifier.scale(features.detach().to(ScalarType.Double), aim);
    Tensor held = DomainClassifier.standardised(features, scale);
    Tensor goal = DomainClassifier.standardised(aim, scale);
    Tensor logs = torch.zeros(new long[] {n}, held.options());
    Tensor[] fits = new Tensor[settings.folds];
    try (Rng rng = Rng.named(settings.seed, "domain folds")) {
      Tensor fold = rng.permutation(n).remainder(new Scalar((long) settings.folds));
      for (int f = 0; f < fits.length; f++) {
        Tensor out = fold.eq(new Scalar((long) f)).nonzero().squeeze(1);
        Tensor in = fold.ne(new Scalar((long) f)).nonzero().squeeze(1);
        Tensor w = DomainClassifier.fit(held.index_select(0, in), goal, settings.l2);
        // The ratio of sizes is part of the intercept from here on.
        w.narrow(0, w.size(0) - 1, 1)
            .add_(new Scalar(Math.log(in.size(0) / (double) goal.size(0))));
        fits[f] = w;
        logs.index_copy_(0, out, DomainClassifier.logOdds(held.index_select(0, out), w));
      }
    }
    Learned next = new Learned(n, probabilities.size(1), features.size(1));
    return weighed(settings, next, probabilities, labels, clipped(settings, logs))
        .with("scale", scale)
        .with("coefficients", torch.stack(new TensorVector(fits), 0));
  }

  private static Tensor clipped(Settings settings, Tensor logs) {
    double bound = Math.log(settings.clip);
    return logs.clamp_min(new Scalar(-bound)).clamp_max(new Scalar(bound)).exp();
  }

  private Learned weighed(
      Settings settings, Learned next, Tensor probabilities, Tensor labels, Tensor weights) {
    Tensor scores = trueLabel(score(settings, next).of(probabilities), labels);
    ConformalQuantile.Sorted sorted = ConformalQuantile.sort(scores, weights);
    double effective = ConformalQuantile.effectiveSize(weights);
    long wanted = 5 * ConformalQuantile.fewest(settings.alpha);
    if (effective < wanted) {
      LOG.warn(
          "The weights make {} held-out rows worth {} only: held-out and target inputs hardly"
              + " overlap, or there are too few. Sets will be large and their coverage uncertain;"
              + " {} effective rows or more are wanted for alpha = {}.",
          labels.size(0),
          String.format(Locale.ROOT, "%.1f", effective),
          wanted,
          settings.alpha);
    }
    return next.with("scores", sorted.scores())
        .with("cumulative", sorted.cumulative())
        .with("effectiveSize", effective);
  }

  @Override
  protected Tensor thresholds(Learned learned, Tensor probabilities, @Nullable Tensor features) {
    if (!learned.has("coefficients")) {
      throw new OutriggerException(
          who() + " was fitted with known weights: give those of the new rows to setsWith.");
    }
    if (features == null) {
      throw new OutriggerException(
          who() + " needs the features of the rows: use a model that gives features.");
    }
    Shapes.check()
        .size("N", probabilities.size(0), "probabilities")
        .size("D", learned.dimension(), "the data that " + who() + " was fitted on")
        .tensor("features", features, "N", "D");
    Shapes.finite("features", features);
    return at(learned, weights(features));
  }

  private Tensor at(Learned learned, Tensor weights) {
    return ConformalQuantile.at(
            learned.tensor("scores"), learned.tensor("cumulative"), weights, settings().alpha)
        .unsqueeze(1);
  }

  /**
   * The estimated weights of rows, how much likelier they are among the target's inputs.
   *
   * @param features [N, D]
   * @return float64 [N]
   */
  public Tensor weights(Tensor features) {
    Learned learned = required();
    return Scopes.noGrad(
        () -> {
          Tensor x = DomainClassifier.standardised(features, learned.tensor("scale"));
          Tensor fits = learned.tensor("coefficients");
          long d = fits.size(1) - 1;
          // The mean of linear functions is the function of the mean coefficients.
          Tensor mean = fits.mean(new long[] {0}, false, null);
          Tensor logs = x.mv(mean.narrow(0, 0, d)).add(mean.narrow(0, d, 1));
          return clipped(settings(), logs);
        });
  }

  /**
   * Fits with known weights instead of a target.
   *
   * @param probabilities [N, C]
   * @param labels int64 [N], in 0 .. C-1
   * @param weights p_target(x) / p_held(x) up to a common factor, 0 or more, [N]
   */
  public void fitWith(Tensor probabilities, Tensor labels, Tensor weights) {
    Settings now = settings();
    take(
        () -> {
          Tensor p = checked(probabilities);
          Shapes.check()
              .tensor("probabilities", p, "N", "C")
              .tensor("labels", labels, "N")
              .tensor("weights", weights, "N");
          Shapes.labels("labels", labels, p.size(1), false);
          Tensor w = checkedWeights(weights);
          if (!(w.sum().item_double() > 0)) {
            throw new OutriggerException(
                "weights are all 0: none of the held-out rows would count.");
          }
          return weighed(now, new Learned(labels.size(0), p.size(1), 0), p, labels, w);
        });
  }

  /**
   * The label sets of rows with known weights.
   *
   * @param probabilities [N, C]
   * @param weights of these rows on the same scale as those of the fit, [N]
   * @return bool [N, C]
   */
  public Tensor setsWith(Tensor probabilities, Tensor weights) {
    return setsUpTo(
        probabilities,
        (learned, p) -> {
          Shapes.check().size("N", p.size(0), "probabilities").tensor("weights", weights, "N");
          return at(learned, checkedWeights(weights));
        });
  }

  private static Tensor checkedWeights(Tensor weights) {
    Shapes.finite("weights", weights);
    Tensor w = weights.detach().to(ScalarType.Double);
    double least = w.amin().item_double();
    if (least < 0) {
      throw new OutriggerException("weights must be 0 or more, but the smallest is " + least + ".");
    }
    return w;
  }

  /** How many unweighted rows the held-out ones are worth under their weights. */
  public double effectiveSize() {
    return required().number("effectiveSize");
  }

  @Override
  protected void check(Shapes shapes, Learned restored) {
    shapes
        .tensor("The saved scores", restored.tensor("scores"), "N")
        .tensor("The saved cumulative", restored.tensor("cumulative"), "N");
    Shapes.notEmpty("The saved scores", restored.tensor("scores"));
    if (restored.has("coefficients")) {
      shapes
          .tensor("The saved scale", restored.tensor("scale"), "2", "D")
          .size("E", restored.dimension() + 1, "the saved " + who())
          .tensor("The saved coefficients", restored.tensor("coefficients"), "F", "E");
    }
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

  @Override
  protected String scope(Learned learned) {
    return String.format(
        Locale.ROOT,
        "on average over inputs like the target's, as far as the weights of the %d held-out rows"
            + " (worth %.0f) are right and labels depend on inputs as before",
        learned.rows(),
        learned.number("effectiveSize"));
  }

  @Override
  public void close() {
    super.close();
    Scopes.release(target);
    target = null;
  }
}
