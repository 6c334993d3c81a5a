package org.outrigger.serve.dashboard;

import java.time.Duration;
import java.util.Arrays;
import org.outrigger.serve.protocol.Refusal;

/** How far back the page looks, and in what steps. */
enum Range {
  MINUTES_15("15m", true, 1, 90),
  HOUR_1("1h", true, 3, 120),
  HOURS_6("6h", false, 1, 72),
  HOURS_48("48h", false, 4, 144);

  /** Width and number of the fine buckets, which hold one hour, and of the coarse ones: 48. */
  static final Duration FINE = Duration.ofSeconds(10);

  static final int FINE_SIZE = 361;
  static final Duration COARSE = Duration.ofMinutes(5);
  static final int COARSE_SIZE = 580;

  private final String text;
  private final boolean fine;
  private final int buckets;
  private final int steps;

  Range(String text, boolean fine, int buckets, int steps) {
    this.text = text;
    this.fine = fine;
    this.buckets = buckets;
    this.steps = steps;
  }

  static Range of(String text) {
    return Arrays.stream(values())
        .filter(range -> range.text.equals(text))
        .findFirst()
        .orElseThrow(() -> Refusal.bad("The range is one of 15m, 1h, 6h and 48h."));
  }

  String text() {
    return text;
  }

  /** Whether the fine buckets reach so far. */
  boolean fine() {
    return fine;
  }

  /** How many steps there are. */
  int steps() {
    return steps;
  }

  /** Milliseconds of a step. */
  long step() {
    return buckets * (fine ? FINE : COARSE).toMillis();
  }

  /** Where the first step starts, if the last one holds {@code now}. */
  long start(long now) {
    return (Math.floorDiv(now, step()) + 1 - steps) * step();
  }
}
