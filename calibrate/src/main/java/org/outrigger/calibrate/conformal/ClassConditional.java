package org.outrigger.calibrate.conformal;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Class-conditional (Mondrian) conformal prediction: a threshold for each class, of the scores of
 * its own held-out rows, so that the promise holds within every class and not only on average. A
 * label is in the set if {@code s(x, y) <= q_y}; classes with too few rows are in every set.
 *
 * <p>Vovk, "Conditional Validity of Inductive Conformal Predictors", ACML 2012.
 */
@Card(
    slug = "class-conditional",
    name = "Class-conditional conformal",
    summary = "Label sets whose coverage holds within every class, not only on average.",
    paper = "Vovk. Conditional Validity of Inductive Conformal Predictors. ACML 2012",
    year = 2012,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "a threshold a class")
public final class ClassConditional extends SplitConformal<ClassConditional.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(ClassConditional.class);

  /**
   * @param alpha the share of the sets of each class that may miss it, in (0, 1)
   * @param score of labels: LAC, APS or RAPS
   * @param randomised whether APS and RAPS are randomised
   * @param kReg of RAPS, 0 or more
   * @param lambda of RAPS, 0 or more
   * @param allowEmpty whether a set may be empty; otherwise it gets the likeliest label
   * @param seed of the randomisation
   */
  public record Settings(
      double alpha,
      LabelScore.Kind score,
      boolean randomised,
      int kReg,
      double lambda,
      boolean allowEmpty,
      long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      HyperParameter.atLeast("kReg", kReg, 0);
      HyperParameter.notNegative("lambda", lambda);
    }

    public static Settings defaults() {
      return new Settings(0.1, LabelScore.Kind.LAC, true, 2, 0.1, true, 0);
    }
  }

  public ClassConditional() {
    this(Settings.defaults());
  }

  public ClassConditional(Settings settings) {
    super(settings);
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
  protected Learned learn(
      Settings settings, Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    long classes = probabilities.size(1);
    Learned next = new Learned(labels.size(0), classes, 0);
    Tensor scores = trueLabel(score(settings, next).of(probabilities), labels);
    Tensor q = ConformalQuantile.byClass(scores, labels, classes, settings.alpha);
    Tensor few = q.eq(new Scalar(Double.POSITIVE_INFINITY));
    long count = few.sum().item_long();
    if (count > 0) {
      List<Long> some = Arrays.stream(Tensors.longs(few.nonzero())).boxed().limit(10).toList();
      LOG.warn(
          "{} of {} classes have too few held-out rows for alpha = {} and will be in every set"
              + " (the first: {}). Give {} or more of each.",
          count,
          classes,
          settings.alpha,
          some,
          ConformalQuantile.fewest(settings.alpha));
    }
    return next.with("threshold", q.to(ScalarType.Double));
  }

  @Override
  protected void check(Shapes shapes, Learned restored) {
    shapes.tensor("The saved threshold", restored.tensor("threshold"), "C");
  }

  @Override
  protected String scope(Learned learned) {
    return "within every class, for inputs like the " + learned.rows() + " held-out ones";
  }
}
