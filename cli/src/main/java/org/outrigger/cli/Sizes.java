package org.outrigger.cli;

/** Sums of sizes of which some may be unknown. */
final class Sizes {
  private Sizes() {}

  /** -1 if either is unknown. */
  static long sum(long a, long b) {
    return a < 0 || b < 0 ? -1 : a + b;
  }
}
