package org.outrigger.core.model;

import org.jspecify.annotations.Nullable;
import org.outrigger.core.nn.Layer;

/**
 * What a model shows of its last layer; null where it has none such. Tensors and layers are
 * borrowed.
 *
 * @param linear the linear head
 * @param negated the head that says no; see {@link Capabilities.HasNegatedHead}
 * @param last the last layer, where it is one of {@code nn}: a linear one or another
 */
public record Heads(
    @Nullable LinearHead linear, @Nullable LinearHead negated, @Nullable Layer last) {
  /** A linear head or none, and nothing else. */
  public static Heads linear(@Nullable LinearHead head) {
    return new Heads(head, null, null);
  }

  /** Those of a model. */
  public static Heads of(Model model) {
    return new Heads(
        model
            .as(Capabilities.HasLinearHead.class)
            .map(Capabilities.HasLinearHead::head)
            .orElse(null),
        model
            .as(Capabilities.HasNegatedHead.class)
            .map(Capabilities.HasNegatedHead::negatedHead)
            .orElse(null),
        model
            .as(Capabilities.HasLastLayer.class)
            .map(Capabilities.HasLastLayer::lastLayer)
            .orElse(null));
  }
}
