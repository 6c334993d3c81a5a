package org.outrigger.select.scaling;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.Quantiles;
import org.outrigger.core.torch.Rng;

/**
 * A power law with how sure it is. The sizes of a ladder are chosen, not drawn, so the bootstrap
 * keeps them and draws the residuals of the logarithms anew, widened by {@code sqrt(n / (n - 2))}
 * for the two numbers that were fitted.
 *
 * @param law the fit
 * @param x the sizes it was fitted on
 * @param y their losses
 * @param alpha the exponent with its bootstrap interval
 * @param slopes of each bootstrap line
 * @param intercepts of each bootstrap line
 */
public record FittedLaw(
    PowerLaw law, double[] x, double[] y, Interval alpha, double[] slopes, double[] intercepts) {
  /**
   * Fits and draws.
   *
   * @throws org.outrigger.core.OutriggerException as {@link PowerLaw#fit}
   */
  public static FittedLaw of(double[] x, double[] y, TsfmScaling.Settings settings) {
    PowerLaw law = settings.irreducible() ? PowerLaw.fitIrreducible(x, y) : PowerLaw.fit(x, y);
    int n = x.length;
    double[] u = Arrays.stream(x).map(Math::log10).toArray();
    double[] line = Arrays.stream(u).map(v -> law.slope() * v + law.intercept()).toArray();
    double[] residuals = new double[n];
    double widen = Math.sqrt(n / (n - 2.0));
    for (int i = 0; i < n; i++) {
      residuals[i] = widen * (Math.log10(y[i] - law.offset()) - line[i]);
    }
    double mean = Arrays.stream(u).average().orElseThrow();
    double spread = Arrays.stream(u).map(v -> (v - mean) * (v - mean)).sum();
    double[] slopes = new double[settings.resamples()];
    double[] intercepts = new double[settings.resamples()];
    SplittableRandom random = new SplittableRandom(Rng.derive(settings.seed(), "scaling law"));
    for (int r = 0; r < slopes.length; r++) {
      double shift = 0;
      double tilt = 0;
      for (int i = 0; i < n; i++) {
        double noise = residuals[random.nextInt(n)];
        shift += noise / n;
        tilt += noise * (u[i] - mean) / spread;
      }
      slopes[r] = law.slope() + tilt;
      intercepts[r] = law.intercept() + shift - tilt * mean;
    }
    double[] exponents = Arrays.stream(slopes).map(s -> -s).toArray();
    return new FittedLaw(
        law,
        x.clone(),
        y.clone(),
        interval(exponents, law.alpha(), settings.level()),
        slopes,
        intercepts);
  }

  private static Interval interval(double[] values, double estimate, double level) {
    double tail = (1 - level) / 2;
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return new Interval(rank(sorted, tail), estimate, rank(sorted, 1 - tail), level);
  }

  /** A quantile that may lie among infinities. */
  private static double rank(double[] sorted, double q) {
    double value = Quantiles.ofSorted(sorted, q);
    return Double.isNaN(value) ? sorted[(int) Math.round(q * (sorted.length - 1))] : value;
  }

  /** The loss at a size, with the band of the curve. */
  public Interval at(double size) {
    double[] losses = new double[slopes.length];
    for (int r = 0; r < losses.length; r++) {
      losses[r] = law.offset() + Math.pow(10, slopes[r] * Math.log10(size) + intercepts[r]);
    }
    return interval(losses, law.at(size), alpha.level());
  }

  /**
   * The size that reaches a loss, with its band; an end is infinite where no size within it does.
   *
   * @return the estimate is NaN if the law never reaches it
   */
  public Interval sizeFor(double loss) {
    double[] sizes = new double[slopes.length];
    for (int r = 0; r < sizes.length; r++) {
      double size = new PowerLaw(slopes[r], intercepts[r], law.offset(), Double.NaN).sizeFor(loss);
      sizes[r] = slopes[r] >= 0 || Double.isNaN(size) ? Double.POSITIVE_INFINITY : size;
    }
    return interval(sizes, law.sizeFor(loss), alpha.level());
  }

  /** Whether the interval of the exponent contains 0: the runs do not show that size matters. */
  public boolean undecided() {
    return alpha.low() <= 0 && alpha.high() >= 0;
  }

  public double smallest() {
    return Arrays.stream(x).min().orElseThrow();
  }

  public double largest() {
    return Arrays.stream(x).max().orElseThrow();
  }
}
