package org.outrigger.detect;

import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.ClassPrompts;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.zoo.ZeroShotNetwork;

/**
 * CLIPN: a zero-shot model whose second text tower says no, and images that the names of the
 * classes deny are unknown. With image i, class weights w and what the no-tower says of the same
 * names, v, class c is affirmed with probability {@code q_c = sigmoid(s <i, w_c> - s <i, v_c>)}
 * where {@code p = softmax_c(s <i, w_c>)} would choose it.
 *
 * <ul>
 *   <li>Competing to win (CTW) asks the chosen class alone, {@code 1 - q_(argmax p)}: unknown if
 *       above 1/2.
 *   <li>Agreeing to differ (ATD) asks all, {@code p_unknown = 1 - sum_c p_c q_c}: unknown if above
 *       every {@code p_c q_c}.
 * </ul>
 *
 * <p>The detector gives the log-odds of these probabilities, which rank alike and do not saturate.
 * It learns nothing from data: fitting takes over the model's weights. {@link ClipnTraining} makes
 * the no-tower.
 *
 * <p>Wang et al., "CLIPN for Zero-Shot OOD Detection: Teaching CLIP to Say No", ICCV 2023.
 */
@Card(
    slug = "clipn",
    name = "CLIPN",
    summary = "For zero-shot models with a text tower that says no: denied by the class names.",
    paper =
        "Wang, Li, Yao, Li. CLIPN for Zero-Shot OOD Detection: Teaching CLIP to Say No. ICCV 2023",
    year = 2023,
    room = Room.DETECT,
    needs = {Need.FEATURES, Need.LINEAR_HEAD, Need.NEGATED_HEAD},
    state = "class weights that say yes and no")
public final class Clipn extends FittedDetector<Clipn.Settings> {
  /** Which probability decides. */
  public enum Rule {
    /** Competing to win: the chosen class is denied. */
    CTW,
    /** Agreeing to differ: all classes together are. */
    ATD
  }

  /**
   * @param rule which score; ATD is the paper's better one
   * @param scale s on the cosines, above 0; 100 in the paper, which is what CLIP was trained with.
   *     0 takes the model's own
   */
  public record Settings(Rule rule, double scale) {
    public Settings {
      Objects.requireNonNull(rule);
      HyperParameter.notNegative("scale", scale);
    }

    public static Settings defaults() {
      return new Settings(Rule.ATD, 100);
    }
  }

  public Clipn() {
    this(Settings.defaults());
  }

  public Clipn(Settings settings) {
    super(settings);
  }

  /**
   * A detector of given class weights, ready to score: it needs no data.
   *
   * @param yes unit rows [C, P], C of 2 or more
   * @param no unit rows [C, P] for the same classes in the same order
   * @param modelScale what {@code scale = 0} stands for
   */
  public static Clipn of(Settings settings, Tensor yes, Tensor no, double modelScale) {
    Clipn clipn = new Clipn(settings);
    clipn.take(() -> weights(yes, no, modelScale));
    return clipn;
  }

  private static Fitted weights(Tensor yes, Tensor no, double modelScale) {
    ClassPrompts.check(yes, no);
    HyperParameter.positive("modelScale", modelScale);
    return new Fitted(yes.size(0), yes.size(1))
        .with("yes", yes.detach().to(ScalarType.Double).clone())
        .with("no", no.detach().to(ScalarType.Double).clone())
        .with("scale", modelScale);
  }

  /**
   * Scaled cosines. Rows are scaled to unit length in float64, which removes what rounding left.
   *
   * @param images [N, P]
   * @param weights [C, P]
   * @return float64 [N, C]
   */
  public static Tensor logits(Tensor images, Tensor weights, double scale) {
    return Scopes.tensor(
        () ->
            torch
                .matmul(
                    ZeroShotNetwork.unit(images.to(ScalarType.Double)),
                    ZeroShotNetwork.unit(weights.to(ScalarType.Double)).t())
                .mul(new Scalar(scale)));
  }

  /**
   * The probability q that a class is affirmed.
   *
   * @param yes logits [N, C]
   * @param no logits [N, C]
   * @return [N, C] in [0, 1]
   */
  public static Tensor affirmed(Tensor yes, Tensor no) {
    return Scopes.tensor(() -> yes.sub(no).sigmoid());
  }

  /**
   * Competing to win, as log-odds: the logit of {@code 1 - q} of the class with the largest p.
   *
   * @return [N]; above 0 means unknown by the rule without a threshold
   */
  public static Tensor ctw(Tensor yes, Tensor no) {
    return Scopes.tensor(
        () -> {
          Tensor chosen = yes.argmax(new LongOptional(1), true);
          return no.sub(yes).gather(1, chosen).squeeze(1);
        });
  }

  /**
   * Agreeing to differ, as log-odds: the logit of {@code sum_c p_c (1 - q_c)}.
   *
   * @return [N]
   */
  public static Tensor atd(Tensor yes, Tensor no) {
    return Scopes.tensor(() -> denied(yes, no).logsumexp(1).sub(agreed(yes, no).logsumexp(1)));
  }

  /**
   * The probabilities of all classes, {@code p_c q_c}, and of unknown, in the last column.
   *
   * @return [N, C + 1]; rows sum to 1
   */
  public static Tensor joint(Tensor yes, Tensor no) {
    return Scopes.tensor(
        () ->
            torch
                .cat(
                    new TensorVector(
                        agreed(yes, no), denied(yes, no).logsumexp(new long[] {1}, true)),
                    1)
                .exp());
  }

  /**
   * The decision without a threshold.
   *
   * @param yes logits [N, C]
   * @param no logits [N, C]
   * @return bool [N]; true means unknown
   */
  public static Tensor unknown(Rule rule, Tensor yes, Tensor no) {
    return Scopes.tensor(
        () ->
            rule == Rule.CTW
                ? ctw(yes, no).gt(new Scalar(0.0))
                : denied(yes, no).logsumexp(1).gt(agreed(yes, no).amax(new long[] {1}, false)));
  }

  /** {@code log p_c q_c}, [N, C]. */
  private static Tensor agreed(Tensor yes, Tensor no) {
    return torch.log_softmax(yes, 1).add(torch.log_sigmoid(yes.sub(no)));
  }

  /** {@code log p_c (1 - q_c)}, [N, C]. */
  private static Tensor denied(Tensor yes, Tensor no) {
    return torch.log_softmax(yes, 1).add(torch.log_sigmoid(no.sub(yes)));
  }

  /**
   * The decision without a threshold on outputs.
   *
   * @return bool [N]; true means unknown
   */
  public Tensor unknown(Output output) {
    Fitted fitted = required();
    return Scopes.noGrad(
        () -> {
          Tensor images = images(fitted, Rows.of(who(), output));
          return unknown(
              settings().rule(), logits(fitted, images, "yes"), logits(fitted, images, "no"));
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    LinearHead head = HeadEnergy.check(known, who());
    LinearHead negated = known.heads().negated();
    if (negated == null) {
      throw new OutriggerException(
          who()
              + " needs class weights that say no, which this model does not show: build a"
              + " zero-shot model with those of a CLIPN text tower.");
    }
    Shapes.check()
        .tensor("The head's weight", head.weight(), "C", "D")
        .tensor("The weight of the head that says no", negated.weight(), "C", "D");
    Tensor lengths = torch.cat(new TensorVector(lengths(head), lengths(negated)), 0);
    double scale = lengths.mean().item_double();
    double spread = lengths.max().item_double() - lengths.min().item_double();
    if (!(scale > 0) || spread > 0.02 * scale || head.bias().abs().max().item_double() > 0) {
      throw new OutriggerException(
          who()
              + " needs a zero-shot head: class weights of one length and no bias, but this one's"
              + " lengths differ by "
              + spread
              + " or it has a bias.");
    }
    Rows.forEach(
        who(),
        known,
        rows -> ClassPrompts.unit("The features", rows.features(head.weight().size(1))));
    return weights(Knn.unit(head.weight()), Knn.unit(negated.weight()), scale);
  }

  private static Tensor lengths(LinearHead head) {
    return head.weight().detach().to(ScalarType.Double).square().sum(1).sqrt();
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved weights that say yes", fitted.tensor("yes"), "C", "D")
        .tensor("The saved weights that say no", fitted.tensor("no"), "C", "D");
    ClassPrompts.check(fitted.tensor("yes"), fitted.tensor("no"));
    HyperParameter.positive("scale", fitted.number("scale"));
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor images = images(fitted, rows);
    Tensor yes = logits(fitted, images, "yes");
    Tensor no = logits(fitted, images, "no");
    return settings().rule() == Rule.CTW ? ctw(yes, no) : atd(yes, no);
  }

  private static Tensor images(Fitted fitted, Rows rows) {
    Tensor images = rows.features(fitted.dimension());
    ClassPrompts.unit("The features", images);
    return images;
  }

  private Tensor logits(Fitted fitted, Tensor images, String which) {
    double scale = settings().scale() > 0 ? settings().scale() : fitted.number("scale");
    return logits(images, fitted.tensor(which), scale);
  }
}
