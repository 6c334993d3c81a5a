package org.outrigger.stream;

import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Black-box shift estimation: {@code J w = mu} with J[i, j] the share of held-out source rows that
 * are predicted i and labelled j, mu[i] the share of target rows predicted i, and {@code w_j = q(j)
 * / p(j)}. Weights below 0 become 0. The soft form uses mean probabilities instead of predicted
 * labels.
 *
 * <p>Where J is close to singular or a class is missing in the source, {@code min |J w - mu|^2 +
 * rho |w - 1|^2} is solved instead, which the result says.
 *
 * <p>Lipton, Wang, Smola, "Detecting and Correcting for Label Shift with Black Box Predictors",
 * ICML 2018; the regularised form after Azizzadenesheli et al., ICLR 2019.
 */
@Card(
    slug = "bbse",
    name = "Black-box shift estimation",
    summary = "The changed mix of classes, by inverting the confusion matrix.",
    paper =
        "Lipton, Wang, Smola. Detecting and Correcting for Label Shift with Black Box Predictors. ICML 2018",
    year = 2018,
    room = Room.STREAM,
    needs = {Need.LOGITS, Need.LABELS},
    state = "the joint shares of predictions and labels")
public final class Bbse extends SourceEstimator<Bbse.Settings> {
  private static final Logger LOG = LoggerFactory.getLogger(Bbse.class);

  /** What predictions count as. */
  public enum Form {
    /** The most probable label. */
    HARD,
    /** Probabilities. */
    SOFT
  }

  /**
   * @param form what predictions count as
   * @param rho the pull towards unchanged weights where the plain equations cannot be solved, above
   *     0
   * @param worstCondition the condition of J beyond which they count as unsolvable, above 1
   */
  public record Settings(Form form, double rho, double worstCondition) {
    public Settings {
      Objects.requireNonNull(form);
      HyperParameter.positive("rho", rho);
      HyperParameter.require(worstCondition > 1, "worstCondition", worstCondition, "above 1");
    }

    public static Settings defaults() {
      return new Settings(Form.HARD, 1e-3, 1e8);
    }
  }

  public Bbse() {
    this(Settings.defaults());
  }

  public Bbse(Settings settings) {
    super(settings);
  }

  /**
   * The mean prediction: the share of each predicted label, or the mean probability.
   *
   * @param probabilities [N, C]
   * @return [N, C]: one row a row, to be averaged
   */
  private static Tensor votes(Tensor probabilities, Form form) {
    return form == Form.SOFT
        ? probabilities
        : torch
            .one_hot(probabilities.argmax(new LongOptional(1), false), probabilities.size(1))
            .to(torch.ScalarType.Double);
  }

  /**
   * J[i, j], the share of rows that are predicted i and labelled j.
   *
   * @param probabilities float64 [N, C]
   * @param labels int64 [N]
   * @return [C, C], sums to one
   */
  public static Tensor joint(Tensor probabilities, Tensor labels, Form form) {
    return Scopes.tensor(
        () ->
            votes(probabilities, form)
                .t()
                .mm(torch.one_hot(labels, probabilities.size(1)).to(torch.ScalarType.Double))
                .div(new Scalar((double) labels.size(0))));
  }

  /** mu, the mean prediction; [C]. */
  public static Tensor target(Tensor probabilities, Form form) {
    return Scopes.tensor(() -> votes(probabilities, form).mean(0));
  }

  /**
   * w of {@code J w = mu}, as solved: values may be below 0.
   *
   * @param joint [C, C]
   * @param target [C]
   */
  public static Tensor weights(Tensor joint, Tensor target) {
    return Scopes.tensor(() -> torch.linalg_solve(joint, target));
  }

  /** w that minimises {@code |J w - mu|^2 + rho |w - 1|^2}. */
  public static Tensor regularised(Tensor joint, Tensor target, double rho) {
    return Scopes.tensor(
        () -> {
          Tensor identity = torch.eye(joint.size(0), new TensorOptions(torch.ScalarType.Double));
          Tensor left = joint.t().mm(joint).add(identity.mul(new Scalar(rho)));
          return torch.linalg_solve(left, joint.t().mv(target).add(new Scalar(rho)));
        });
  }

  /** q = w p / sum, of clipped weights; [C]. */
  public static Tensor prior(Tensor weights, Tensor source) {
    return Scopes.tensor(
        () -> {
          Tensor q = weights.clamp_min(new Scalar(0.0)).mul(source);
          return q.div(q.sum());
        });
  }

  @Override
  double[][] learn(Tensor probabilities, Tensor labels) {
    return Tensors.rows(joint(probabilities, labels, settings().form));
  }

  @Override
  int rows(int classes) {
    return classes;
  }

  @Override
  LabelShift estimate(double[][] learned, Tensor probabilities) {
    Settings s = settings();
    Tensor joint = tensor(learned);
    Tensor source = joint.sum(0);
    Tensor target = target(probabilities, s.form);
    boolean solvable =
        source.min().item_double() > 0
            && torch.linalg_cond(joint).item_double() <= s.worstCondition;
    if (!solvable) {
      LOG.warn(
          "The source lacks a class, or predictions do not tell classes apart: the estimated mix of"
              + " classes leans towards that of the source.");
    }
    Tensor weights =
        (solvable ? weights(joint, target) : regularised(joint, target, s.rho))
            .clamp_min(new Scalar(0.0));
    return new LabelShift(
        Tensors.doubles(weights), Tensors.doubles(prior(weights, source)), !solvable);
  }
}
