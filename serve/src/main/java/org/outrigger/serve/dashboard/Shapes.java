package org.outrigger.serve.dashboard;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.outrigger.guard.GuardInfo;

/**
 * How the scores and classes of one version of a guard are spread over time, and how they were when
 * it was fitted. Without a reference the bins come from the first scores. Not safe for concurrent
 * use.
 */
final class Shapes {
  /** Classes beyond are counted together. */
  static final int MOST_CLASSES = 100;

  /** Scores from which bins are chosen where there is no reference. */
  private static final int FIRST = 64;

  private record Early(long at, double score, int label) {}

  private final GuardInfo info;
  private final @Nullable Reference reference;
  private final Early[] early = new Early[FIRST];
  private int earlyRows;
  private @Nullable Bins bins;
  private @Nullable History<Shape> history;

  /**
   * @param reference how it was when the guard was fitted; null if that is not known
   */
  Shapes(GuardInfo info, @Nullable Reference reference) {
    this.info = info;
    this.reference = reference;
    if (reference != null) {
      start(Bins.around(reference.sortedScores(), info.threshold().value()));
    }
  }

  private History<Shape> start(Bins chosen) {
    int classes = Math.min(info.classNames().size(), MOST_CLASSES) + 1;
    History<Shape> made = new History<>(() -> new Shape(chosen.count(), classes));
    bins = chosen;
    history = made;
    return made;
  }

  void judged(long at, double score, int label) {
    Bins known = bins;
    History<Shape> counted = history;
    if (known != null && counted != null) {
      counted.at(at, shape -> shape.count(known.of(score), label));
      return;
    }
    early[earlyRows++] = new Early(at, score, label);
    if (earlyRows == FIRST) {
      settle();
    }
  }

  /** Chooses bins from what came so far and counts that. */
  private History<Shape> settle() {
    double[] sorted =
        Arrays.stream(early, 0, earlyRows)
            .mapToDouble(Early::score)
            .filter(Double::isFinite)
            .sorted()
            .toArray();
    double threshold = info.threshold().value();
    Bins chosen = Bins.around(sorted.length == 0 ? new double[] {threshold} : sorted, threshold);
    History<Shape> made = start(chosen);
    for (int i = 0; i < earlyRows; i++) {
      Early row = early[i];
      made.at(row.at, shape -> shape.count(chosen.of(row.score), row.label));
    }
    Arrays.fill(early, null);
    return made;
  }

  /** Its bins; null until there are any. */
  @Nullable Bins bins() {
    return bins;
  }

  /** How the rows of a range are spread; null until bins are chosen. */
  @Nullable Shape sum(Range range, long now) {
    return history == null ? null : history.sum(range, now);
  }

  GuardInfo info() {
    return info;
  }

  /** How it was when the guard was fitted; null if that is not known. */
  @Nullable Reference reference() {
    return reference;
  }
}
