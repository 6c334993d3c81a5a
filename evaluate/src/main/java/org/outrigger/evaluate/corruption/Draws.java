package org.outrigger.evaluate.corruption;

import java.util.SplittableRandom;

/**
 * The random draws of one image. Normal and Poisson variates are made here from uniform ones, so
 * that a seed gives the same image on every Java version.
 */
final class Draws {
  private static final double[] LOG_FACTORIAL = new double[2048];

  static {
    for (int k = 2; k < LOG_FACTORIAL.length; k++) {
      LOG_FACTORIAL[k] = LOG_FACTORIAL[k - 1] + StrictMath.log(k);
    }
  }

  private final SplittableRandom random;
  private double spare = Double.NaN;

  Draws(long seed) {
    random = new SplittableRandom(seed);
  }

  /** In [0, 1). */
  double uniform() {
    return (random.nextLong() >>> 11) * 0x1.0p-53;
  }

  /** In [low, high). */
  double uniform(double low, double high) {
    return low + (high - low) * uniform();
  }

  double[] uniforms(int count, double low, double high) {
    double[] out = new double[count];
    for (int i = 0; i < count; i++) {
      out[i] = uniform(low, high);
    }
    return out;
  }

  /** One of low .. high-1. */
  int integer(int low, int high) {
    return low + (int) (uniform() * (high - low));
  }

  /** -1 or 1. */
  int sign() {
    return uniform() < 0.5 ? -1 : 1;
  }

  /** Standard normal, by Marsaglia's polar method. */
  double normal() {
    if (!Double.isNaN(spare)) {
      double value = spare;
      spare = Double.NaN;
      return value;
    }
    while (true) {
      double u = 2 * uniform() - 1;
      double v = 2 * uniform() - 1;
      double s = u * u + v * v;
      if (s > 0 && s < 1) {
        double factor = Math.sqrt(-2 * StrictMath.log(s) / s);
        spare = v * factor;
        return u * factor;
      }
    }
  }

  double[] normals(int count) {
    double[] out = new double[count];
    for (int i = 0; i < count; i++) {
      out[i] = normal();
    }
    return out;
  }

  /** Poisson counts for each of the expected counts. */
  double[] poisson(double[] expected) {
    double[] out = new double[expected.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = expected[i] < 10 ? multiplied(expected[i]) : rejected(expected[i]);
    }
    return out;
  }

  /** Knuth's product of uniforms, for small means. */
  private int multiplied(double mean) {
    double limit = StrictMath.exp(-mean);
    double product = uniform();
    int count = 0;
    while (product > limit) {
      product *= uniform();
      count++;
    }
    return count;
  }

  /** Transformed rejection with squeeze (PTRS; Hoermann 1993), for means of 10 and more. */
  private int rejected(double mean) {
    double b = 0.931 + 2.53 * Math.sqrt(mean);
    double a = -0.059 + 0.02483 * b;
    double inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
    double vr = 0.9277 - 3.6224 / (b - 2);
    double logMean = StrictMath.log(mean);
    while (true) {
      double u = uniform() - 0.5;
      double v = uniform();
      double us = 0.5 - Math.abs(u);
      int k = (int) Math.floor((2 * a / us + b) * u + mean + 0.43);
      if (us >= 0.07 && v <= vr) {
        return k;
      }
      if (k < 0 || k >= LOG_FACTORIAL.length || (us < 0.013 && v > us)) {
        continue;
      }
      double left =
          StrictMath.log(v) + StrictMath.log(inverseAlpha) - StrictMath.log(a / (us * us) + b);
      if (left <= k * logMean - mean - LOG_FACTORIAL[k]) {
        return k;
      }
    }
  }
}
