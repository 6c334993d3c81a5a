package org.outrigger.adapt;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * T3A: each class is the mean direction of its supports, which begin as the rows of the classifier
 * and are joined by the features of the stream; a class keeps the K whose predictions had the
 * lowest entropy. A row's score of a class is {@code z . c / ||c||}, c being the sum of the class's
 * unit supports. A batch joins before it is scored.
 *
 * <p>Iwasawa and Matsuo, "Test-Time Classifier Adjustment Module for Model-Agnostic Domain
 * Generalization", NeurIPS 2021.
 */
@Card(
    slug = "t3a",
    name = "T3A",
    summary = "The classifier's weights give way to the surest features of the stream.",
    paper =
        "Iwasawa, Matsuo, Test-Time Classifier Adjustment Module for Model-Agnostic Domain"
            + " Generalization, NeurIPS 2021",
    year = 2021,
    room = Room.ADAPT,
    needs = {Need.LOGITS, Need.FEATURES, Need.LINEAR_HEAD},
    state = "supports of each class, with their entropies")
public final class T3a extends Decorator<T3a.Settings> {
  private static final String FEATURES = "supports";
  private static final String LABELS = "labels";
  private static final String ENTROPIES = "entropies";

  /**
   * @param filterK how many supports a class keeps, 1 or more; -1 for all of them, which grow with
   *     the stream. The paper tries 1, 5, 20, 50, 100 and all
   */
  public record Settings(int filterK) {
    public Settings {
      HyperParameter.require(
          filterK == -1 || filterK >= 1, "filterK", filterK, "1 or more, or -1 for all");
    }

    public static Settings defaults() {
      return new Settings(100);
    }
  }

  /**
   * Supports, class by class and by rising entropy.
   *
   * @param features [S, D]
   * @param labels int64 [S]
   * @param entropies [S]
   */
  public record Supports(Tensor features, Tensor labels, Tensor entropies) {
    /** The rows of a classifier, each under the class that the classifier itself gives it. */
    public static Supports of(LinearHead head) {
      return of(head.weight(), head.apply(head.weight()));
    }

    /**
     * Rows under the classes that were predicted for them.
     *
     * @param features [N, D]
     * @param logits [N, C]
     */
    public static Supports of(Tensor features, Tensor logits) {
      return new Supports(
          features, logits.argmax(new LongOptional(1), false), Entropies.entropy(logits));
    }

    /** Both, these first. */
    public Supports join(Supports more) {
      return new Supports(
          torch.cat(new TensorVector(features, more.features), 0),
          torch.cat(new TensorVector(labels, more.labels), 0),
          torch.cat(new TensorVector(entropies, more.entropies), 0));
    }

    /** The {@code most} of each class with the lowest entropies, the earlier ones of equal. */
    public Supports filter(int most, long classes) {
      Tensor byEntropy = entropies.argsort(true, 0, false);
      Tensor order =
          byEntropy.index_select(0, labels.index_select(0, byEntropy).argsort(true, 0, false));
      if (most >= 1) {
        Tensor sorted = labels.index_select(0, order);
        Tensor counts = sorted.bincount(new TensorOptional(), classes);
        Tensor starts = counts.cumsum(0).sub(counts);
        Tensor places =
            torch.arange(new Scalar(sorted.size(0)), new TensorOptions(ScalarType.Long));
        Tensor rank = places.sub(starts.index_select(0, sorted));
        order = order.index_select(0, rank.lt(new Scalar(most)).nonzero().squeeze(1));
      }
      return new Supports(
          features.index_select(0, order),
          labels.index_select(0, order),
          entropies.index_select(0, order));
    }

    /** The unit sum of each class's unit supports, [C, D]; zero for a class without any. */
    public Tensor prototypes(long classes) {
      return Scopes.tensor(
          () ->
              torch.normalize(
                  features
                      .new_zeros(classes, features.size(1))
                      .index_add_(0, labels, torch.normalize(features))));
    }
  }

  public T3a() {
    this(Settings.defaults());
  }

  public T3a(Settings settings) {
    super(settings, new Source());
  }

  /**
   * The scores of rows.
   *
   * @param features [N, D]
   * @param prototypes [C, D]
   * @return [N, C]
   */
  public static Tensor scores(Tensor features, Tensor prototypes) {
    return features.mm(prototypes.t());
  }

  @Override
  protected void prepare(Model model) {
    LinearHead head =
        model
            .as(Capabilities.HasLinearHead.class)
            .map(Capabilities.HasLinearHead::head)
            .orElseThrow(() -> new OutriggerException("T3A needs a model with a linear head."));
    keep(Scopes.grad(false, () -> Supports.of(head)));
  }

  private void keep(Supports supports) {
    memory().put(FEATURES, supports.features().clone());
    memory().put(LABELS, supports.labels());
    memory().put(ENTROPIES, supports.entropies());
  }

  @Override
  protected Output step(Tensor inputs) {
    Output output = inner().adapt(inputs);
    long classes = output.logits().size(1);
    Supports supports =
        new Supports(memory().tensor(FEATURES), memory().tensor(LABELS), memory().tensor(ENTROPIES))
            .join(Supports.of(output.features(), output.logits()))
            .filter(settings().filterK(), classes);
    memory().put(FEATURES, supports.features());
    memory().put(LABELS, supports.labels());
    memory().put(ENTROPIES, supports.entropies());
    return new Output(scores(output.features(), supports.prototypes(classes)), output.features());
  }

  @Override
  protected void restored() {
    Shapes.check()
        .tensor("The saved supports", memory().tensor(FEATURES), "S", "D")
        .tensor("The saved labels", memory().tensor(LABELS), "S")
        .tensor("The saved entropies", memory().tensor(ENTROPIES), "S");
  }
}
