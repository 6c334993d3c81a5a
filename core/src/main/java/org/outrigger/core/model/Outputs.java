package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A model's outputs on a data set, with labels, that can be walked several times: what detectors
 * and calibrators are fitted on. The model runs once; passes over this are cheap.
 */
public interface Outputs extends AutoCloseable {
  /**
   * One batch of it; tensors are borrowed for the duration of the call.
   *
   * @param output logits, features and maps
   * @param labels int64 [N]; null if unlabelled; values below 0 mark unknown inputs
   */
  record Labelled(Output output, @Nullable Tensor labels) {
    /** The labels, or an error that says they are needed. */
    public Tensor requireLabels(String who) {
      if (labels == null) {
        throw new OutriggerException(
            who + " needs class labels, but this data has none: give a labelled data set.");
      }
      return labels;
    }
  }

  /** The number of rows. */
  long size();

  /** The number of classes. */
  int classes();

  /** The model's linear head, if it has one. */
  @Nullable LinearHead head();

  /** What the model shows of its last layer, the linear head among it. */
  default Heads heads() {
    return Heads.linear(head());
  }

  /** Calls {@code visitor} for each batch in order, each in a scope of its own. */
  void forEach(Consumer<Labelled> visitor);

  @Override
  default void close() {}

  /** The linear head, or an error that says that {@code who} needs it. */
  default LinearHead requireHead(String who) {
    LinearHead head = head();
    if (head == null) {
      throw new OutriggerException(
          who
              + " needs a last linear layer (weight [C, D], bias [C]), which this model does not"
              + " show. Use a method that needs logits or features only.");
    }
    return head;
  }

  /** All logits, [N, C], owned by the caller's scope. */
  default Tensor logits() {
    return collect(l -> l.output().logits());
  }

  /** All features, [N, D], owned by the caller's scope. */
  default Tensor features() {
    return collect(l -> l.output().features());
  }

  /** All labels, int64 [N], owned by the caller's scope. */
  default Tensor labels(String who) {
    return collect(l -> l.requireLabels(who));
  }

  private Tensor collect(java.util.function.Function<Labelled, Tensor> part) {
    List<Tensor> parts = new ArrayList<>();
    try {
      forEach(l -> parts.add(Scopes.own(part.apply(l))));
      if (parts.isEmpty()) {
        throw new OutriggerException("There are no rows to fit on: the data set is empty.");
      }
      return Scopes.tensor(
          () -> torch.cat(new org.bytedeco.pytorch.TensorVector(parts.toArray(new Tensor[0])), 0));
    } finally {
      parts.forEach(Scopes::release);
    }
  }

  /**
   * Outputs from tensors that are in memory already, such as cached features. The tensors are
   * borrowed; {@code close} does nothing to them.
   *
   * @param logits [N, C]
   * @param features [N, D] or null
   * @param labels int64 [N] or null
   * @param head the linear head or null
   */
  static Outputs of(
      Tensor logits,
      @Nullable Tensor features,
      @Nullable Tensor labels,
      @Nullable LinearHead head) {
    return of(new Output(logits, features), labels, head);
  }

  /** As {@link #of(Tensor, Tensor, Tensor, LinearHead)}, with feature maps too. */
  static Outputs of(Output output, @Nullable Tensor labels, @Nullable LinearHead head) {
    return withHeads(output, labels, Heads.linear(head));
  }

  /**
   * As {@link #of(Output, Tensor, LinearHead)}, with all that the model shows of its last layer.
   */
  static Outputs withHeads(Output output, @Nullable Tensor labels, Heads heads) {
    Shapes shapes = Shapes.check().tensor("logits", output.logits(), "N", "C");
    if (output.hasFeatures()) {
      shapes.tensor("features", output.features(), "N", "D");
    }
    if (labels != null) {
      shapes.tensor("labels", labels, "N");
    }
    Shapes.notEmpty("logits", output.logits());
    int classes = Math.toIntExact(output.logits().size(1));
    return new Outputs() {
      @Override
      public long size() {
        return output.size();
      }

      @Override
      public int classes() {
        return classes;
      }

      @Override
      public @Nullable LinearHead head() {
        return heads.linear();
      }

      @Override
      public Heads heads() {
        return heads;
      }

      @Override
      public void forEach(Consumer<Labelled> visitor) {
        Scopes.run(() -> visitor.accept(new Labelled(output, labels)));
      }
    };
  }
}
