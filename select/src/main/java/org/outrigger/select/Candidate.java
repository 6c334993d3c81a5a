package org.outrigger.select;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * What a model makes of a labelled target set. The labels are those of the target set; the model's
 * own classes are others in general. Tensors are borrowed.
 *
 * @param features [N, D], finite; null if the model gives none
 * @param labels int64 [N], 0 or more
 * @param probabilities the model's own class probabilities [N, S]; null if it has no classifier
 */
public record Candidate(@Nullable Tensor features, Tensor labels, @Nullable Tensor probabilities) {
  private static final double SUM_TOLERANCE = 1e-3;

  public Candidate {
    Shapes shapes = Shapes.check().tensor("The labels", labels, "N");
    Shapes.notEmpty("The labels", labels);
    Shapes.labels("The labels", labels, Integer.MAX_VALUE, false);
    if (features != null) {
      shapes.tensor("The features", features, "N", "D");
      Shapes.notEmpty("The features", features);
      Shapes.finite("The features", features);
    }
    if (probabilities != null) {
      shapes.tensor("The source probabilities", probabilities, "N", "S");
      Shapes.notEmpty("The source probabilities", probabilities);
      Shapes.finite("The source probabilities", probabilities);
      requireProbabilities(probabilities);
    }
  }

  /**
   * A candidate from a model's output: its features, if any, and the softmax of its logits.
   *
   * @param labels int64 [N]
   */
  public static Candidate of(Output output, Tensor labels) {
    Shapes.finite("The logits", output.logits());
    return new Candidate(
        output.hasFeatures() ? output.features() : null,
        labels,
        Scopes.tensor(() -> torch.softmax(output.logits().to(ScalarType.Double), 1)));
  }

  private static void requireProbabilities(Tensor p) {
    boolean ok =
        Scopes.scoped(
            () ->
                p.amin().item_double() >= 0
                    && p.to(ScalarType.Double)
                            .sum(1)
                            .sub(new Scalar(1.0))
                            .abs()
                            .amax()
                            .item_double()
                        <= SUM_TOLERANCE);
    if (!ok) {
      throw new OutriggerException(
          "The source probabilities are none: each row must be 0 or more and sum to 1. Apply a"
              + " softmax to logits first.");
    }
  }

  /** The number of rows N. */
  public long size() {
    return labels.size(0);
  }

  /** The features, or an error that names scores which need none. */
  Tensor requireFeatures(Method who) {
    return require(features, who, Need.FEATURES);
  }

  /** The source probabilities, or an error that names scores which need none. */
  Tensor requireProbabilities(Method who) {
    return require(probabilities, who, Need.LOGITS);
  }

  private static Tensor require(@Nullable Tensor part, Method who, Need need) {
    if (part == null) {
      List<String> others =
          Methods.cards(ModelScore.class).stream()
              .filter(card -> !List.of(card.needs()).contains(need))
              .map(Card::slug)
              .toList();
      throw new OutriggerException(
          who.card().name()
              + " needs "
              + need.meaning()
              + ", which this candidate does not have. These do not: "
              + String.join(", ", others)
              + ".");
    }
    return part;
  }

  /**
   * The labels with the classes that have no row left out and the others counted from 0, int64 [N];
   * an error if there are fewer than two.
   */
  Tensor denseLabels(Method who) {
    return Scopes.tensor(
        () -> {
          Tensor present = labels.bincount().gt(new Scalar(0)).to(ScalarType.Long);
          long classes = present.sum().item_long();
          if (classes < 2) {
            throw new OutriggerException(
                who.card().name()
                    + " needs rows of at least two classes, but all have label "
                    + labels.min().item_long()
                    + ".");
          }
          Tensor names = present.cumsum(0).sub(new Scalar(1L));
          return classes == present.size(0) ? labels : names.index_select(0, labels);
        });
  }
}
