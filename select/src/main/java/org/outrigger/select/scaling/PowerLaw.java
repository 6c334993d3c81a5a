package org.outrigger.select.scaling;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;

/**
 * A power law {@code L(x) = offset + (x0 / x)^alpha}: a straight line {@code log10 (L - offset) =
 * slope log10 x + intercept}, so {@code alpha = -slope} and {@code log10 x0 = -intercept / slope}.
 *
 * @param slope k; below 0 where more helps
 * @param intercept b
 * @param offset the loss that no x gets below; 0 unless it was fitted too
 * @param r2 the share of the variance of the logarithms that the line explains; NaN if they are all
 *     alike
 */
public record PowerLaw(double slope, double intercept, double offset, double r2) {
  private static final int STEPS = 240;

  /**
   * The least-squares line through the logarithms.
   *
   * @param x above 0, not all alike
   * @param y losses above 0, as many, at least 3
   * @throws OutriggerException if the logarithms do not exist or no line is determined
   */
  public static PowerLaw fit(double[] x, double[] y) {
    check(x, y, 3);
    for (double loss : y) {
      if (loss <= 0) {
        throw new OutriggerException(
            "A loss of "
                + loss
                + " has no logarithm, so (x0 / x)^alpha cannot be fitted: negative log-likelihoods"
                + " may be negative. Fit another metric, or an irreducible loss as well"
                + " (irreducible = true).");
      }
    }
    return line(x, y, 0);
  }

  /**
   * An extension of the paper's fit: the offset is fitted too, by a bounded search for the one
   * whose law is nearest to the losses in the sense of least squares. It lies below the smallest
   * loss, by up to ten times the range of the losses, and may be negative.
   *
   * @param x above 0, not all alike
   * @param y losses of either sign, as many, at least 4, not all alike
   */
  public static PowerLaw fitIrreducible(double[] x, double[] y) {
    check(x, y, 4);
    double least = Arrays.stream(y).min().orElseThrow();
    double range = Arrays.stream(y).max().orElseThrow() - least;
    if (range == 0) {
      throw new OutriggerException(
          "All losses are " + least + ": there is nothing from which to learn a law.");
    }
    // The distance between smallest loss and offset, from 10^-4 to 10 times the range.
    int best = 0;
    double bestError = Double.POSITIVE_INFINITY;
    for (int i = 0; i <= STEPS; i++) {
      double error = error(x, y, least - gap(range, i));
      if (error < bestError) {
        bestError = error;
        best = i;
      }
    }
    double low = Math.max(0, best - 1);
    double high = Math.min(STEPS, best + 1);
    double golden = (Math.sqrt(5) - 1) / 2;
    for (int i = 0; i < 100; i++) {
      double a = high - golden * (high - low);
      double b = low + golden * (high - low);
      if (error(x, y, least - gap(range, a)) < error(x, y, least - gap(range, b))) {
        high = b;
      } else {
        low = a;
      }
    }
    return line(x, y, least - gap(range, (low + high) / 2));
  }

  private static double gap(double range, double step) {
    return range * Math.pow(10, -4 + 5 * step / STEPS);
  }

  private static double error(double[] x, double[] y, double offset) {
    PowerLaw law = line(x, y, offset);
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      double off = law.at(x[i]) - y[i];
      sum += off * off;
    }
    return sum;
  }

  private static void check(double[] x, double[] y, int least) {
    if (x.length != y.length) {
      throw new OutriggerException(
          x.length + " sizes and " + y.length + " losses do not belong together.");
    }
    if (x.length < least) {
      throw new OutriggerException(
          x.length
              + " points do not determine a power law"
              + (least > 3 ? " with an irreducible loss" : "")
              + ": at least "
              + least
              + " are needed. Train more sizes.");
    }
    for (int i = 0; i < x.length; i++) {
      if (!(x[i] > 0) || Double.isInfinite(x[i])) {
        throw new OutriggerException(
            "The size " + x[i] + " of point " + i + " is no finite number above 0.");
      }
      if (!Double.isFinite(y[i])) {
        throw new OutriggerException(
            "The loss of point "
                + i
                + " (size "
                + x[i]
                + ") is "
                + y[i]
                + ": leave out the run that diverged, or train it again.");
      }
    }
    if (Arrays.stream(x).allMatch(v -> v == x[0])) {
      throw new OutriggerException(
          "All points have the size " + x[0] + ": a law needs different sizes.");
    }
  }

  /** The line through the logarithms of what is above the offset. */
  static PowerLaw line(double[] x, double[] y, double offset) {
    double[] u = Arrays.stream(x).map(Math::log10).toArray();
    double[] v = Arrays.stream(y).map(loss -> Math.log10(loss - offset)).toArray();
    double meanU = Arrays.stream(u).average().orElseThrow();
    double meanV = Arrays.stream(v).average().orElseThrow();
    double uu = 0;
    double uv = 0;
    double vv = 0;
    for (int i = 0; i < u.length; i++) {
      uu += (u[i] - meanU) * (u[i] - meanU);
      uv += (u[i] - meanU) * (v[i] - meanV);
      vv += (v[i] - meanV) * (v[i] - meanV);
    }
    double slope = uv / uu;
    double rest = 0;
    for (int i = 0; i < u.length; i++) {
      double off = v[i] - meanV - slope * (u[i] - meanU);
      rest += off * off;
    }
    return new PowerLaw(slope, meanV - slope * meanU, offset, vv == 0 ? Double.NaN : 1 - rest / vv);
  }

  /** The exponent; below 0 where the loss grows with x. */
  public double alpha() {
    return -slope;
  }

  /** The logarithm of x0, which itself is astronomically large where alpha is small. */
  public double log10X0() {
    return -intercept / slope;
  }

  /** The loss at a size. */
  public double at(double x) {
    return offset + Math.pow(10, slope * Math.log10(x) + intercept);
  }

  /** The size at which the loss is that; NaN if no size gives it. */
  public double sizeFor(double loss) {
    return loss <= offset || slope == 0
        ? Double.NaN
        : Math.pow(10, (Math.log10(loss - offset) - intercept) / slope);
  }
}
