package org.outrigger.evaluate.stream;

import java.util.SplittableRandom;
import org.outrigger.core.torch.Rng;

/**
 * The random draws of one stretch of a stream. Variates are made here from uniform ones, so that a
 * seed gives the same stream on every Java version.
 */
final class OrderDraws {
  private final SplittableRandom random;

  OrderDraws(long seed, String purpose) {
    random = new SplittableRandom(Rng.derive(seed, purpose));
  }

  /** In [0, 1). */
  double uniform() {
    return (random.nextLong() >>> 11) * 0x1.0p-53;
  }

  /** In (0, 1]. */
  private double positive() {
    return 1 - uniform();
  }

  /** A random order of {@code items}, in place (Fisher and Yates' shuffle). */
  int[] shuffle(int[] items) {
    for (int i = items.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swap = items[i];
      items[i] = items[j];
      items[j] = swap;
    }
    return items;
  }

  /** Standard normal, by Marsaglia's polar method. */
  private double normal() {
    while (true) {
      double u = 2 * uniform() - 1;
      double v = 2 * uniform() - 1;
      double s = u * u + v * v;
      if (s > 0 && s < 1) {
        return u * Math.sqrt(-2 * StrictMath.log(s) / s);
      }
    }
  }

  /**
   * One draw from the symmetric Dirichlet distribution. Shares are computed from logarithms, so
   * that they do not vanish all at once when the concentration is small.
   *
   * @param delta the concentration, above 0
   */
  double[] dirichlet(int size, double delta) {
    double[] logs = new double[size];
    double most = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < size; i++) {
      // Gamma(delta) is Gamma(delta + 1) U^(1 / delta).
      logs[i] = StrictMath.log(gamma(delta + 1)) + StrictMath.log(positive()) / delta;
      most = Math.max(most, logs[i]);
    }
    double sum = 0;
    for (int i = 0; i < size; i++) {
      logs[i] = StrictMath.exp(logs[i] - most);
      sum += logs[i];
    }
    for (int i = 0; i < size; i++) {
      logs[i] /= sum;
    }
    return logs;
  }

  /** Gamma with a shape of 1 or more, by Marsaglia and Tsang's method. */
  private double gamma(double shape) {
    double d = shape - 1.0 / 3;
    double c = 1 / Math.sqrt(9 * d);
    while (true) {
      double x = normal();
      double cubed = 1 + c * x;
      if (cubed <= 0) {
        continue;
      }
      double v = cubed * cubed * cubed;
      if (StrictMath.log(positive()) < 0.5 * x * x + d - d * v + d * StrictMath.log(v)) {
        return d * v;
      }
    }
  }

  /**
   * Zipf with P(k) proportional to k^-a for k = 1, 2, ..., by Devroye's rejection.
   *
   * @param exponent a, above 1
   */
  double zipf(double exponent) {
    double reach = exponent - 1;
    double b = StrictMath.pow(2, reach);
    while (true) {
      double x = Math.floor(StrictMath.pow(positive(), -1 / reach));
      double t = StrictMath.pow(1 + 1 / x, reach);
      if (Double.isFinite(x) && uniform() * x * (t - 1) / (b - 1) <= t / b) {
        return x;
      }
    }
  }
}
