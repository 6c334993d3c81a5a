package org.outrigger.serve.dashboard;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The last stretch of time in buckets of one width. There are never more buckets than fit: each is
 * used again when its time has passed. Not safe for concurrent use.
 */
final class TimeRing<T extends Mergeable<T>> {
  private static final class Slot<T> {
    private final T counts;
    private long epoch;

    Slot(T counts, long epoch) {
      this.counts = counts;
      this.epoch = epoch;
    }
  }

  private final long width;
  private final Supplier<T> empty;
  private final List<@Nullable Slot<T>> slots;

  TimeRing(Duration width, int size, Supplier<T> empty) {
    this.width = width.toMillis();
    this.empty = empty;
    slots = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      slots.add(null);
    }
  }

  /** Milliseconds of a bucket. */
  long width() {
    return width;
  }

  /** The bucket of a time, empty if nothing came yet; null if that time was overwritten. */
  @Nullable T at(long millis) {
    long epoch = Math.floorDiv(millis, width);
    int index = (int) Math.floorMod(epoch, (long) slots.size());
    Slot<T> slot = slots.get(index);
    if (slot == null) {
      slot = new Slot<>(empty.get(), epoch);
      slots.set(index, slot);
    } else if (slot.epoch > epoch) {
      return null;
    } else if (slot.epoch < epoch) {
      slot.counts.clear();
      slot.epoch = epoch;
    }
    return slot.counts;
  }

  /** What came in [from, to), which are multiples of the width, added up. */
  T sum(long from, long to) {
    T sum = empty.get();
    for (long epoch = Math.floorDiv(from, width); epoch * width < to; epoch++) {
      Slot<T> slot = slots.get((int) Math.floorMod(epoch, (long) slots.size()));
      if (slot != null && slot.epoch == epoch) {
        sum.add(slot.counts);
      }
    }
    return sum;
  }
}
