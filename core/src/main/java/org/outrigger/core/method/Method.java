package org.outrigger.core.method;

import java.util.Set;

/**
 * An implemented method. Its class carries a {@link Card}, has a record {@code Settings} of its
 * hyper-parameters with the paper's names and a static {@code defaults()}, and two public
 * constructors: one without arguments and one that takes the {@code Settings}.
 */
public interface Method {
  /** The card of this class. */
  default Card card() {
    Card card = getClass().getAnnotation(Card.class);
    if (card == null) {
      throw new IllegalStateException(getClass() + " has no @Card");
    }
    return card;
  }

  /** Its hyper-parameters: a record. */
  Record settings();

  /** What it needs with these settings; the card's needs unless settings change them. */
  default Set<Need> needs() {
    return Set.of(card().needs());
  }
}
