package org.outrigger.adapt.ear;

import java.util.ArrayDeque;
import java.util.Deque;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/**
 * Decides whether a stream has come to a new domain: more than half of the last w rows were less
 * familiar than their thresholds allow. Before it has seen w rows it says known.
 */
final class NoveltyWindow {
  private static final double SHARE = 0.5;

  private final int size;
  private final Deque<Boolean> flags = new ArrayDeque<>();
  private int unknown;

  NoveltyWindow(int size) {
    HyperParameter.atLeast("window", size, 1);
    this.size = size;
  }

  /** Looks at rows in the order they came in. */
  Ear.Decision observe(long[] rows) {
    for (long row : rows) {
      flags.addLast(row != 0);
      unknown += row != 0 ? 1 : 0;
      if (flags.size() > size) {
        unknown -= flags.removeFirst() ? 1 : 0;
      }
    }
    return flags.size() == size && share() > SHARE ? Ear.Decision.NEW_DOMAIN : Ear.Decision.KNOWN;
  }

  /** The share of unknown rows in the window; 0 if it is empty. */
  double share() {
    return flags.isEmpty() ? 0 : unknown / (double) flags.size();
  }

  void clear() {
    flags.clear();
    unknown = 0;
  }

  /** One digit a row, oldest first; 1 is unknown. */
  String text() {
    StringBuilder text = new StringBuilder();
    flags.forEach(flag -> text.append(flag ? '1' : '0'));
    return text.toString();
  }

  /** A window with what {@link #text} gave. */
  static NoveltyWindow of(int size, String text) {
    NoveltyWindow window = new NoveltyWindow(size);
    if (!text.matches("[01]*") || text.length() > size) {
      throw new OutriggerException("The saved EAR is damaged: its window is '" + text + "'.");
    }
    window.observe(text.chars().mapToLong(c -> c - '0').toArray());
    return window;
  }
}
