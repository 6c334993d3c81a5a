package org.outrigger.select;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * Negative conditional entropy: {@code -H(Y | Z)} in nats, where Z is the model's own predicted
 * class: how much remains unknown of the target label. In [-log C, 0].
 *
 * <p>Tran, Nguyen, Hassner. Transferability and Hardness of Supervised Classification Tasks. ICCV
 * 2019.
 */
@Card(
    slug = "nce",
    name = "NCE",
    summary = "How much the model's own predicted class leaves unknown of the target label.",
    paper =
        "Tran, Nguyen, Hassner. Transferability and Hardness of Supervised Classification Tasks."
            + " ICCV 2019",
    year = 2019,
    room = Room.SELECT,
    needs = {Need.LOGITS, Need.LABELS})
public final class Nce implements ModelScore {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private final Settings settings;

  public Nce() {
    this(Settings.defaults());
  }

  public Nce(Settings settings) {
    this.settings = settings;
  }

  /**
   * The score.
   *
   * @param sources the model's own predicted classes, int64 [N], 0 or more
   * @param labels int64 [N], 0 or more
   */
  public static double score(Tensor sources, Tensor labels) {
    return Scopes.scoped(
        () -> {
          long classes = labels.max().item_long() + 1;
          long models = sources.max().item_long() + 1;
          Tensor joint =
              sources
                  .mul(new Scalar(classes))
                  .add(labels)
                  .bincount(new TensorOptional(), models * classes)
                  .to(ScalarType.Double)
                  .div_(new Scalar((double) labels.size(0)));
          Tensor source = joint.unflatten(0, models, classes).sum(1);
          // -H(Y | Z) = H(Z) - H(Y, Z), with 0 log 0 = 0.
          return torch.xlogy(joint, joint).sum().item_double()
              - torch.xlogy(source, source).sum().item_double();
        });
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () ->
            score(
                candidate.requireProbabilities(this).argmax(new LongOptional(1), false),
                candidate.denseLabels(this)));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
