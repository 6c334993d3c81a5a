package org.outrigger.serve.dashboard;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;

/**
 * The unknown rows with the largest scores of the last hour. It keeps the largest of each five
 * minutes, so that the list is right also when the largest of all have passed. Not safe for
 * concurrent use.
 */
final class TopUnknown {
  static final int SHOWN = 24;
  private static final long HOUR = 3_600_000;
  private static final long STRETCH = 300_000;
  private static final int STRETCHES = (int) (HOUR / STRETCH) + 1;
  private static final Comparator<UnknownInput> BY_SCORE =
      Comparator.comparingDouble(input -> input.verdict().score());

  private static final class Stretch {
    private final PriorityQueue<UnknownInput> rows = new PriorityQueue<>(BY_SCORE);
    private long epoch;
  }

  private final Stretch[] stretches = new Stretch[STRETCHES];
  private long keys;

  TopUnknown() {
    for (int i = 0; i < STRETCHES; i++) {
      stretches[i] = new Stretch();
    }
  }

  /**
   * Takes a row up if its score is among the largest.
   *
   * @param make makes the entry from its key; called only if the row is taken
   */
  void offer(long at, double score, LongFunction<UnknownInput> make) {
    long epoch = Math.floorDiv(at, STRETCH);
    Stretch stretch = stretches[(int) Math.floorMod(epoch, (long) STRETCHES)];
    if (stretch.epoch > epoch) {
      return;
    }
    if (stretch.epoch < epoch) {
      stretch.rows.clear();
      stretch.epoch = epoch;
    }
    UnknownInput least = stretch.rows.peek();
    if (least != null && stretch.rows.size() >= SHOWN) {
      if (score <= least.verdict().score()) {
        return;
      }
      stretch.rows.remove();
    }
    stretch.rows.add(make.apply(++keys));
  }

  /** The rows of the last hour, the largest score first. */
  List<UnknownInput> list(long now) {
    List<UnknownInput> all = new ArrayList<>();
    for (Stretch stretch : stretches) {
      for (UnknownInput input : stretch.rows) {
        if (input.at() > now - HOUR) {
          all.add(input);
        }
      }
    }
    all.sort(BY_SCORE.reversed().thenComparing(UnknownInput::key));
    return List.copyOf(all.subList(0, Math.min(SHOWN, all.size())));
  }

  /** The row of that key; null if it is not kept. */
  @Nullable UnknownInput get(long key) {
    for (Stretch stretch : stretches) {
      for (UnknownInput input : stretch.rows) {
        if (input.key() == key) {
          return input;
        }
      }
    }
    return null;
  }
}
