package org.outrigger.serve.dashboard;

import java.util.Arrays;

/** How scores and predicted classes were spread in a stretch of time. */
final class Shape implements Mergeable<Shape> {
  private final int[] scores;
  private final int[] classes;

  /**
   * @param bins of scores
   * @param classes how many are counted one by one, and one more for all others
   */
  Shape(int bins, int classes) {
    scores = new int[bins];
    this.classes = new int[classes];
  }

  void count(int bin, int label) {
    scores[bin]++;
    classes[Math.min(label, classes.length - 1)]++;
  }

  /** Rows by bin of their score. */
  int[] scores() {
    return scores;
  }

  /** Rows by predicted class. */
  int[] classes() {
    return classes;
  }

  @Override
  public void add(Shape other) {
    for (int i = 0; i < scores.length; i++) {
      scores[i] += other.scores[i];
    }
    for (int i = 0; i < classes.length; i++) {
      classes[i] += other.classes[i];
    }
  }

  @Override
  public void clear() {
    Arrays.fill(scores, 0);
    Arrays.fill(classes, 0);
  }
}
