package org.outrigger.calibrate.conformal;

import java.util.List;
import java.util.Locale;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Conformal prediction under label shift: classes come in another mix, but look as before. Rows are
 * weighted by {@code w(y) = q(y) / p(y)}, the share of their class in the target over that in the
 * held-out rows. The weight of a new row depends on the label that is tried, so each label y has a
 * threshold of its own: the smallest score whose cumulative weight reaches 1 - alpha of {@code
 * sum_i w(y_i) + w(y)}.
 *
 * <p>The target's mix is given ({@code priors}) or estimated from predictions on unlabelled target
 * inputs, see {@link #target}, by black-box shift estimation: {@code w} solves {@code C w = m} with
 * {@code C[i, j]} the mean predicted probability of i times 1[y = j] over held-out rows and m the
 * mean prediction on the target; negative weights become 0. A class without held-out rows is in
 * every set.
 *
 * <p>Podkopaev, Ramdas, "Distribution-free uncertainty quantification for classification under
 * label shift", UAI 2021; Lipton, Wang, Smola, "Detecting and Correcting for Label Shift with Black
 * Box Predictors", ICML 2018.
 */
@Card(
    slug = "label-shift-conformal",
    name = "Label-shift conformal",
    summary = "Label sets for another mix of the same classes, given or estimated.",
    paper =
        "Podkopaev, Ramdas. Distribution-free uncertainty quantification for classification under"
            + " label shift. UAI 2021",
    year = 2021,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "a threshold and a weight a class")
public final class LabelShiftConformal extends SplitConformal<LabelShiftConformal.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(LabelShiftConformal.class);
  private static final double SINGULAR = 1e-6;

  /**
   * @param alpha the share of sets that may miss the true label, in (0, 1)
   * @param score of labels: LAC, APS or RAPS
   * @param randomised whether APS and RAPS are randomised
   * @param kReg of RAPS, 0 or more
   * @param lambda of RAPS, 0 or more
   * @param priors the target's class shares, which sum to one; empty to estimate them
   * @param allowEmpty whether a set may be empty; otherwise it gets the likeliest label
   * @param seed of the randomisation
   */
  public record Settings(
      double alpha,
      LabelScore.Kind score,
      boolean randomised,
      int kReg,
      double lambda,
      List<Double> priors,
      boolean allowEmpty,
      long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      HyperParameter.atLeast("kReg", kReg, 0);
      HyperParameter.notNegative("lambda", lambda);
      priors = List.copyOf(priors);
      double sum = priors.stream().mapToDouble(Double::doubleValue).sum();
      HyperParameter.require(
          priors.isEmpty()
              || (Math.abs(sum - 1) <= 1e-6 && priors.stream().allMatch(share -> share >= 0)),
          "priors",
          priors,
          "shares of 0 or more that sum to one, or empty");
    }

    public static Settings defaults() {
      return new Settings(0.1, LabelScore.Kind.LAC, true, 2, 0.1, List.of(), true, 0);
    }
  }

  private @Nullable Tensor predicted;

  public LabelShiftConformal() {
    this(Settings.defaults());
  }

  public LabelShiftConformal(Settings settings) {
    super(settings);
  }

  @Override
  public void target(Tensor features) {
    throw new OutriggerException(
        who()
            + " estimates the class mix from predictions, not from features: call target with the"
            + " probabilities of the target's inputs, or set priors.");
  }

  /** Takes predictions [M, C] on inputs to come; the next fit estimates their class mix. */
  @Override
  public void target(Tensor probabilities, @Nullable Tensor features) {
    Tensor next =
        Scopes.scoped(() -> Scopes.own(checked(probabilities).mean(new long[] {0}, false, null)));
    Scopes.release(predicted);
    predicted = next;
  }

  @Override
  protected Learned learn(
      Settings settings, Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    long classes = probabilities.size(1);
    Tensor held =
        torch
            .bincount(labels, new TensorOptional(), classes)
            .to(ScalarType.Double)
            .div(new Scalar((double) labels.size(0)));
    Tensor weights = weights(settings, probabilities, labels, held);
    // A class that no held-out row has cannot be left out of any set.
    Tensor unseen = held.eq(new Scalar(0.0));
    Tensor tried = weights.masked_fill(unseen, new Scalar(Double.POSITIVE_INFINITY));
    Learned next = new Learned(labels.size(0), classes, 0);
    Tensor scores = trueLabel(score(settings, next).of(probabilities), labels);
    Tensor each = weights.index_select(0, labels);
    if (!(each.sum().item_double() > 0)) {
      throw new OutriggerException(
          "None of the target's classes has a held-out row: give held-out rows of the classes that"
              + " will come.");
    }
    double effective = ConformalQuantile.effectiveSize(each);
    Tensor q = ConformalQuantile.weighted(scores, each, tried, settings.alpha);
    long open = q.eq(new Scalar(Double.POSITIVE_INFINITY)).sum().item_long();
    if (open > 0) {
      LOG.warn(
          "{} of {} classes will be in every set: they have no held-out rows, or too few for their"
              + " share in the target. Give more.",
          open,
          classes);
    }
    return next.with("threshold", q).with("weights", weights).with("effectiveSize", effective);
  }

  private Tensor weights(Settings settings, Tensor probabilities, Tensor labels, Tensor held) {
    long classes = probabilities.size(1);
    Tensor safe = held.masked_fill(held.eq(new Scalar(0.0)), new Scalar(1.0));
    if (!settings.priors.isEmpty()) {
      if (settings.priors.size() != classes) {
        throw new OutriggerException(
            "There are "
                + settings.priors.size()
                + " priors, but "
                + classes
                + " classes: give a share for each class.");
      }
      double[] shares = settings.priors.stream().mapToDouble(Double::doubleValue).toArray();
      return Tensors.of(shares, classes)
          .div(safe)
          .masked_fill(held.eq(new Scalar(0.0)), new Scalar(0.0));
    }
    Tensor mean = predicted;
    if (mean == null) {
      throw new OutriggerException(
          who()
              + " knows nothing of the target: call target with predictions on the inputs to come"
              + " before the fit, or set priors.");
    }
    Shapes.check().size("C", classes, "probabilities").tensor("The target's classes", mean, "C");
    return estimate(probabilities, labels, mean);
  }

  /**
   * Black-box shift estimation.
   *
   * @param probabilities of held-out rows, float64 [N, C]
   * @param labels int64 [N]
   * @param mean the mean prediction on the target, float64 [C]
   * @return w(y) = q(y) / p(y), 0 or more, scaled so that {@code sum_y p(y) w(y) = 1}; 0 for a
   *     class without held-out rows; float64 [C]
   */
  public static Tensor estimate(Tensor probabilities, Tensor labels, Tensor mean) {
    return Scopes.noGrad(
        () -> {
          long classes = probabilities.size(1);
          double n = labels.size(0);
          Tensor hot = torch.one_hot(labels, classes).to(ScalarType.Double);
          Tensor held = hot.sum(0).div(new Scalar(n));
          Tensor joint = probabilities.t().mm(hot).div(new Scalar(n));
          Tensor singular = torch.linalg_svdvals(joint);
          long present = held.gt(new Scalar(0.0)).sum().item_long();
          double least =
              singular.select(0, present - 1).item_double()
                  / Math.max(singular.select(0, 0).item_double(), Double.MIN_NORMAL);
          if (least < 1e-3) {
            LOG.warn(
                "The predictions hardly tell some classes apart (smallest singular value {} of the"
                    + " largest), so that the target's class mix is uncertain.",
                String.format(Locale.ROOT, "%.1e", least));
          }
          Tensor w = torch.linalg_pinv(joint, SINGULAR, false).mv(mean);
          w = w.clamp_min(new Scalar(0.0)).masked_fill(held.eq(new Scalar(0.0)), new Scalar(0.0));
          double total = w.mul(held).sum().item_double();
          if (!(total > 0)) {
            throw new OutriggerException(
                "The target's class mix cannot be estimated: its predictions fit no mix of the"
                    + " held-out classes. Set priors.");
          }
          return w.div(new Scalar(total));
        });
  }

  /** The weights w(y) in use, [C]. */
  public double[] weights() {
    return Tensors.doubles(required().tensor("weights"));
  }

  /** How many unweighted rows the held-out ones are worth under their weights. */
  public double effectiveSize() {
    return required().number("effectiveSize");
  }

  @Override
  protected void check(Shapes shapes, Learned restored) {
    shapes
        .tensor("The saved threshold", restored.tensor("threshold"), "C")
        .tensor("The saved weights", restored.tensor("weights"), "C");
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
    return "on average over inputs whose classes come in the target's mix and look like those of"
        + " the "
        + learned.rows()
        + " held-out rows";
  }

  @Override
  public void close() {
    super.close();
    Scopes.release(predicted);
    predicted = null;
  }
}
