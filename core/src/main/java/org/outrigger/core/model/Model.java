package org.outrigger.core.model;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;

/**
 * A classifier: a batch of inputs to logits and, where it can, features. What else it can do are
 * the interfaces in {@link Capabilities}. Predicting is safe for concurrent use; changing a model
 * is not.
 */
public interface Model extends AutoCloseable {
  /** What it is called in reports. */
  String name();

  /** The number of classes C; -1 if it is not known before the first prediction. */
  int classes();

  /**
   * Predicts in evaluation mode without recording gradients.
   *
   * @param inputs [N, ...]
   * @return an output that the caller owns (or the enclosing scope, if there is one)
   * @throws OutriggerException if the inputs do not fit the model
   */
  default Output predict(Tensor inputs) {
    return predict(inputs, List.of());
  }

  /**
   * As {@link #predict(Tensor)}, with the outputs of chosen inner layers.
   *
   * @param maps names from {@link #featurePoints()}; empty for none
   */
  Output predict(Tensor inputs, List<String> maps);

  /** The names of inner layers whose outputs {@link #predict(Tensor, List)} can give. */
  default List<String> featurePoints() {
    return List.of();
  }

  /** What this model offers to methods. */
  Set<Need> offers();

  /** This model as a capability of {@link Capabilities}, if it has it. */
  default <T> Optional<T> as(Class<T> capability) {
    return capability.isInstance(this) ? Optional.of(capability.cast(this)) : Optional.empty();
  }

  /**
   * The first need of {@code method} that this model cannot meet, if any. Needs that are about the
   * data ({@link Need#ofData}) are not the model's.
   */
  default Optional<Need> missing(Set<Need> needs) {
    return needs.stream()
        .sorted()
        .filter(n -> !n.ofData())
        .filter(n -> !offers().contains(n))
        .findFirst();
  }

  /**
   * Demands that this model meets the needs of a method.
   *
   * @throws OutriggerException that names the method, the need and methods of the same kind that
   *     would work
   */
  default void require(Method method, Class<? extends Method> kind) {
    Optional<Need> missing = missing(method.needs());
    if (missing.isPresent()) {
      List<String> work =
          Methods.cards(kind).stream()
              .filter(card -> missing(Set.of(card.needs())).isEmpty())
              .map(Card::slug)
              .toList();
      throw new OutriggerException(
          method.card().name()
              + " needs "
              + missing.get().meaning()
              + ", which the model "
              + name()
              + " does not offer."
              + (work.isEmpty() ? "" : " These would work: " + few(work) + "."));
    }
  }

  private static String few(List<String> names) {
    int shown = 8;
    return names.size() <= shown + 1
        ? String.join(", ", names)
        : String.join(", ", names.subList(0, shown))
            + " and "
            + (names.size() - shown)
            + " more, which 'outrigger inspect' lists";
  }

  @Override
  void close();
}
