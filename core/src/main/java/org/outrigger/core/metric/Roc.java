package org.outrigger.core.metric;

import java.util.ArrayList;
import java.util.List;
import org.outrigger.core.OutriggerException;

/** The ROC curve with out-of-distribution items positive, thinned for plotting. */
public final class Roc {
  private Roc() {}

  /**
   * One threshold: items that score at least {@code threshold} are flagged. The first point has the
   * threshold {@code Infinity} and flags nothing.
   */
  public record Point(double threshold, double falsePositiveRate, double truePositiveRate) {}

  /**
   * The curve from (0, 0) to (1, 1).
   *
   * @param most at most about this many points, at least 2; points are dropped only where they lie
   *     closer together than the curve's length / {@code most}
   */
  public static List<Point> points(ScoreTable scores, int most) {
    if (most < 2) {
      throw new OutriggerException("most = " + most + " is out of range: use 2 or more.");
    }
    // The curve is at most 2 long, measured along both axes.
    double spacing = scores.size() < most ? 0 : 2.0 / (most - 1);
    List<Point> points = new ArrayList<>();
    points.add(new Point(Double.POSITIVE_INFINITY, 0, 0));
    double last = 0;
    long id = 0;
    long ood = 0;
    for (int i = scores.size() - 1; i >= 0; i--) {
      id += scores.id(i);
      ood += scores.ood(i);
      double x = id / (double) scores.idTotal();
      double y = ood / (double) scores.oodTotal();
      if (x + y - last >= spacing || i == 0) {
        points.add(new Point(scores.value(i), x, y));
        last = x + y;
      }
    }
    return points;
  }
}
