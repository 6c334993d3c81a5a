package org.outrigger.serve.dashboard;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Counts over the last 48 hours: in fine buckets for the last one, in coarse ones for all. Not safe
 * for concurrent use.
 */
final class History<T extends Mergeable<T>> {
  private final TimeRing<T> fine;
  private final TimeRing<T> coarse;

  History(Supplier<T> empty) {
    fine = new TimeRing<>(Range.FINE, Range.FINE_SIZE, empty);
    coarse = new TimeRing<>(Range.COARSE, Range.COARSE_SIZE, empty);
  }

  /** Counts something. */
  void at(long millis, Consumer<T> count) {
    T bucket = fine.at(millis);
    if (bucket != null) {
      count.accept(bucket);
    }
    bucket = coarse.at(millis);
    if (bucket != null) {
      count.accept(bucket);
    }
  }

  /** The steps of a range, the oldest first. */
  List<T> steps(Range range, long now) {
    TimeRing<T> ring = range.fine() ? fine : coarse;
    List<T> steps = new ArrayList<>(range.steps());
    long start = range.start(now);
    for (int i = 0; i < range.steps(); i++) {
      steps.add(ring.sum(start + i * range.step(), start + (i + 1) * range.step()));
    }
    return steps;
  }

  /** All of a range. */
  T sum(Range range, long now) {
    TimeRing<T> ring = range.fine() ? fine : coarse;
    long start = range.start(now);
    return ring.sum(start, start + range.steps() * range.step());
  }

  /** The last so many milliseconds, in whole fine buckets. */
  T last(long millis, long now) {
    return fine.sum(now - millis, now + 1);
  }
}
