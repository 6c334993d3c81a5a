package org.outrigger.core.optim;

import org.jspecify.annotations.Nullable;

/**
 * Looks along a line for a step after which the value is clearly smaller (Armijo, 1e-4) and the
 * slope clearly flatter (0.9): the strong Wolfe conditions. It first widens until a suitable step
 * is bracketed, then narrows by cubic interpolation. Nocedal and Wright, Numerical Optimization,
 * algorithms 3.5 and 3.6. Where values differ by rounding alone, the slope decides (Hager and
 * Zhang, SIAM J. Optimization 2005), so that gradients of 1e-8 can be reached.
 */
final class WolfeSearch {
  private static final double DECREASE = 1e-4;
  private static final double FLATTER = 0.9;
  private static final double ROUNDING = 1e-14;
  private static final int TRIALS = 30;

  /** A point on the line. */
  @SuppressWarnings("ArrayRecordComponent")
  record Point(double step, double[] x, double value, double[] gradient, double slope) {}

  private final Lbfgs.Problem problem;
  private final double[] origin;
  private final double[] direction;
  private Point start;
  private int trials;

  WolfeSearch(Lbfgs.Problem problem, double[] origin, double[] direction) {
    this.problem = problem;
    this.origin = origin;
    this.direction = direction;
    this.start = new Point(0, origin, Double.NaN, origin, Double.NaN);
  }

  /** Tells the value and the gradient at the origin. */
  WolfeSearch from(double value, double[] gradient) {
    start = new Point(0, origin, value, gradient, Lbfgs.dot(gradient, direction));
    return this;
  }

  /** A suitable point, or null if there is none as far as rounding lets it see. */
  @Nullable Point search(double first) {
    if (!(start.slope < 0)) {
      return null;
    }
    Point before = start;
    double step = first;
    while (trials < TRIALS) {
      Point now = at(step);
      if (!smaller(now) || (before.step > 0 && now.value >= before.value + rounding())) {
        return narrow(before, now);
      }
      if (flat(now)) {
        return now;
      }
      if (now.slope >= 0) {
        return narrow(now, before);
      }
      before = now;
      step *= 2;
    }
    return before.step == 0 ? null : before;
  }

  /**
   * Narrows a bracket.
   *
   * @param low the better end, whose slope points to the other
   */
  private @Nullable Point narrow(Point low, Point high) {
    while (trials < TRIALS && Math.abs(high.step - low.step) > 1e-16 * Math.max(1, low.step)) {
      Point now = at(between(low, high));
      if (!smaller(now) || now.value >= low.value + rounding()) {
        high = now;
      } else {
        if (flat(now)) {
          return now;
        }
        if (now.slope * (high.step - low.step) >= 0) {
          high = low;
        }
        low = now;
      }
    }
    return low.step == 0 ? null : low;
  }

  /** The minimum of the cubic through both ends, kept a tenth away from them; else the middle. */
  private static double between(Point low, Point high) {
    double width = high.step - low.step;
    double middle = low.step + width / 2;
    if (!Double.isFinite(high.value) || !Double.isFinite(high.slope)) {
      return middle;
    }
    double a = low.slope + high.slope - 3 * (high.value - low.value) / width;
    double root = a * a - low.slope * high.slope;
    if (root < 0) {
      return middle;
    }
    double b = Math.copySign(Math.sqrt(root), width);
    double step = high.step - width * (high.slope + b - a) / (high.slope - low.slope + 2 * b);
    double from = Math.min(low.step, high.step) + 0.1 * Math.abs(width);
    double to = Math.max(low.step, high.step) - 0.1 * Math.abs(width);
    return Double.isFinite(step) ? Math.min(Math.max(step, from), to) : middle;
  }

  private Point at(double step) {
    trials++;
    double[] x = origin.clone();
    Lbfgs.add(x, step, direction);
    double[] gradient = new double[x.length];
    double value = problem.at(x, gradient);
    double slope = Lbfgs.dot(gradient, direction);
    return new Point(
        step,
        x,
        Double.isFinite(slope) && !Double.isNaN(value) ? value : Double.POSITIVE_INFINITY,
        gradient,
        slope);
  }

  private boolean smaller(Point now) {
    return now.value <= start.value + DECREASE * now.step * start.slope
        || (now.value <= start.value + rounding() && now.slope <= (2 * DECREASE - 1) * start.slope);
  }

  private double rounding() {
    return ROUNDING * Math.abs(start.value);
  }

  private boolean flat(Point now) {
    return Math.abs(now.slope) <= -FLATTER * start.slope;
  }
}
