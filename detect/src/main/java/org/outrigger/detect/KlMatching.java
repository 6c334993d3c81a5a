package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Shapes;

/**
 * KL matching: how far a prediction is from every typical prediction. The score is {@code min_k
 * KL(p || d_k)}, where the template {@code d_k} is the mean softmax of the known inputs that were
 * predicted as class k. A class that was never predicted has its one-hot vector as template.
 *
 * <p>Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022.
 * Fit it on held-out known data: on training data the templates are too sure.
 */
@Card(
    slug = "kl-matching",
    name = "KL matching",
    summary = "Distance of the predicted distribution to the typical one of each class.",
    paper =
        "Hendrycks et al. Scaling Out-of-Distribution Detection for Real-World Settings. ICML 2022",
    year = 2022,
    room = Room.DETECT,
    needs = Need.LOGITS,
    state = "a template distribution for each class")
public final class KlMatching extends FittedDetector<KlMatching.Settings> {
  /** It has no hyper-parameters. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public KlMatching() {
    this(Settings.defaults());
  }

  public KlMatching(Settings settings) {
    super(settings);
  }

  /**
   * The templates of a set of predictions.
   *
   * @param logits [N, C]
   * @return float64 [C, C], each row a distribution
   */
  public static Tensor templates(Tensor logits) {
    long classes = logits.size(1);
    return templates(sums(logits, classes), counts(logits, classes));
  }

  /**
   * The smallest divergence from a template, in nats.
   *
   * @param logits [N, C]
   * @param templates float64 [C, C]
   * @return float64 [N], 0 or more
   */
  public static Tensor score(Tensor logits, Tensor templates) {
    Tensor p = torch.softmax(logits.to(ScalarType.Double), 1);
    Tensor empty = templates.eq(new Scalar(0));
    // Where a template is 0 the divergence is infinite unless the prediction is 0 there too.
    Tensor logs = templates.masked_fill(empty, new Scalar(1.0)).log();
    Tensor outside =
        torch.matmul(p.gt(new Scalar(0)).to(ScalarType.Double), empty.to(ScalarType.Double).t());
    Tensor divergence = torch.xlogy(p, p).sum(1).unsqueeze(1).sub(torch.matmul(p, logs.t()));
    return divergence
        .masked_fill(outside.gt(new Scalar(0)), new Scalar(Double.POSITIVE_INFINITY))
        .amin(new long[] {1}, false)
        .clamp_min(new Scalar(0.0));
  }

  private static Tensor sums(Tensor logits, long classes) {
    Tensor p = torch.softmax(logits.to(ScalarType.Double), 1);
    return torch
        .zeros(new long[] {classes, classes}, new TensorOptions(ScalarType.Double))
        .index_add_(0, Classes.predicted(logits), p);
  }

  private static Tensor counts(Tensor logits, long classes) {
    return torch.one_hot(Classes.predicted(logits), classes).sum(0);
  }

  private static Tensor templates(Tensor sums, Tensor counts) {
    Tensor means = sums.div(counts.clamp_min(new Scalar(1)).unsqueeze(1));
    return torch.where(
        counts.gt(new Scalar(0)).unsqueeze(1), means, torch.eye(sums.size(0)).to(sums.dtype()));
  }

  @Override
  protected Fitted learn(Outputs known) {
    long classes = known.classes();
    Tensor sums = torch.zeros(new long[] {classes, classes}, new TensorOptions(ScalarType.Double));
    Tensor counts = torch.zeros(new long[] {classes}, new TensorOptions(ScalarType.Long));
    Rows.forEach(
        who(),
        known,
        rows -> {
          sums.add_(sums(rows.logits(), classes));
          counts.add_(counts(rows.logits(), classes));
        });
    return new Fitted(classes, 0).with("templates", templates(sums, counts));
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("The saved templates", fitted.tensor("templates"), "C", "C");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Shapes.check()
        .size("C", fitted.classes(), "the data that " + who() + " was fitted on")
        .tensor("The logits", rows.logits(), "N", "C");
    return score(rows.logits(), fitted.tensor("templates"));
  }
}
