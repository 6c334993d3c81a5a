package org.outrigger.stream;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;

/**
 * The Kolmogorov-Smirnov distance of two samples and what it means: {@code D = max |F_A - F_B|}
 * over all pooled points, ties evaluated after the tie.
 *
 * <p>The exact p-value counts lattice paths that leave a band: {@code v(i, j) = 1} where {@code |i
 * m - j n| >= h}, else {@code (i v(i-1, j) + j v(i, j-1)) / (i + j)}, with {@code h = D n m}.
 */
public final class KolmogorovSmirnov {
  private static final double MOST_CELLS = 1e7;

  private KolmogorovSmirnov() {}

  /** Which difference counts. */
  public enum Side {
    /** max |F_A - F_B| */
    TWO_SIDED,
    /** max (F_A - F_B): the first sample lies lower. */
    FIRST_LOWER
  }

  /**
   * The distance of two samples.
   *
   * @param first ascending, not empty
   * @param second ascending, not empty
   */
  public static double distance(double[] first, double[] second, Side side) {
    double largest = 0;
    int i = 0;
    int j = 0;
    while (i < first.length && j < second.length) {
      double at = Math.min(first[i], second[j]);
      while (i < first.length && first[i] <= at) {
        i++;
      }
      while (j < second.length && second[j] <= at) {
        j++;
      }
      double gap = i / (double) first.length - j / (double) second.length;
      largest = Math.max(largest, side == Side.TWO_SIDED ? Math.abs(gap) : gap);
    }
    return largest;
  }

  /** The exact p-value where n m is at most ten million, else that of the limit. */
  public static double pValue(double distance, int n, int m, Side side) {
    return (double) n * m <= MOST_CELLS ? exact(distance, n, m, side) : limit(distance, n, m, side);
  }

  /**
   * The exact p-value for samples without ties; conservative with them.
   *
   * @param distance D in [0, 1]
   * @param n size of the first sample, 1 or more
   * @param m size of the second
   */
  public static double exact(double distance, int n, int m, Side side) {
    long h = Math.round(distance * n * m);
    if (h <= 0) {
      return 1;
    }
    double[] v = new double[m + 1];
    Arrays.fill(v, 1);
    // No path has left the band before it reached an edge of it: zero until then.
    int start = last(0, h, n, m, side) + 1;
    Arrays.fill(v, 0, start, 0);
    double[] inverse = new double[n + m + 1];
    for (int k = 1; k < inverse.length; k++) {
      inverse[k] = 1.0 / k;
    }
    for (int i = 1; i <= n; i++) {
      long low = Math.floorDiv((long) i * m - h, (long) n) + 1;
      int from = low <= 0 ? start : (int) low;
      double left = 0;
      if (low > 0) {
        v[from - 1] = 1;
        left = 1;
      }
      int to = last(i, h, n, m, side);
      for (int j = from; j <= to; j++) {
        double weight = inverse[i + j];
        left = i * weight * v[j] + j * weight * left;
        v[j] = left;
      }
    }
    return v[m];
  }

  /** The last place of row i inside the band. */
  private static int last(int i, long h, int n, int m, Side side) {
    return side == Side.FIRST_LOWER
        ? m
        : (int) Math.min(m, Math.floorDiv((long) i * m + h - 1, (long) n));
  }

  /** The p-value of the limit for large samples. */
  public static double limit(double distance, int n, int m, Side side) {
    double z = Math.sqrt((double) n * m / (n + m)) * distance;
    if (side == Side.FIRST_LOWER) {
      return Math.exp(-2 * z * z);
    }
    if (z < 0.2) {
      return 1;
    }
    double sum = 0;
    for (int k = 1; k <= 100; k++) {
      double term = Math.exp(-2.0 * k * k * z * z);
      sum += k % 2 == 1 ? term : -term;
      if (term < 1e-18) {
        break;
      }
    }
    return Math.min(1, Math.max(0, 2 * sum));
  }

  /**
   * The p-value that some Python packages call asymptotic: the exact law of one sample of {@code
   * round(n m / (n + m))} values. It differs from both of the others.
   */
  public static double oneSample(double distance, int n, int m, Side side) {
    int size = (int) Math.rint((double) n * m / (n + m));
    if (side == Side.FIRST_LOWER) {
      // For one side they take the limit with its next term.
      double large = Math.max(n, m);
      double small = Math.min(n, m);
      double z = Math.sqrt(large * small / (large + small)) * distance;
      double next = z * (large + 2 * small) / Math.sqrt(large * small * (large + small));
      return Math.min(1, Math.exp(-2 * z * z - 2 * next / 3));
    }
    return Math.min(1, Math.max(0, 1 - cdf(size, distance)));
  }

  /** P(D_n < d) for one sample, by the power of Marsaglia, Tsang and Wang's matrix. */
  private static double cdf(int n, double d) {
    if (d >= 1) {
      return 1;
    }
    if (n * d <= 0.5) {
      return 0;
    }
    int k = (int) Math.ceil(n * d);
    int size = 2 * k - 1;
    double h = k - n * d;
    double[][] a = new double[size][size];
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < size && j <= i + 1; j++) {
        a[i][j] = 1;
      }
    }
    for (int i = 0; i < size; i++) {
      a[i][0] -= Math.pow(h, i + 1);
      a[size - 1][i] -= Math.pow(h, size - i);
    }
    a[size - 1][0] += 2 * h - 1 > 0 ? Math.pow(2 * h - 1, size) : 0;
    for (int i = 0; i < size; i++) {
      for (int j = 0; j <= Math.min(i, size - 1); j++) {
        for (int g = 1; g <= i - j + 1; g++) {
          a[i][j] /= g;
        }
      }
    }
    return power(a, n, k);
  }

  /** The central element of a^n times n! / n^n, scaled on the way so that nothing overflows. */
  private static double power(double[][] a, int n, int k) {
    double[] row = new double[a.length];
    row[k - 1] = 1;
    double log = 0;
    for (int i = 1; i <= n; i++) {
      double[] next = new double[row.length];
      double most = 0;
      for (int j = 0; j < row.length; j++) {
        for (int l = 0; l < row.length; l++) {
          next[j] += row[l] * a[l][j];
        }
        next[j] *= i / (double) n;
        most = Math.max(most, next[j]);
      }
      for (int j = 0; j < row.length; j++) {
        next[j] /= most;
      }
      log += Math.log(most);
      row = next;
    }
    return Math.exp(log) * row[k - 1];
  }

  /**
   * The smallest p-value that samples of these sizes can give: above the level of a test, that test
   * can never reject.
   */
  public static double smallest(int n, int m) {
    return pValue(1, n, m, Side.TWO_SIDED);
  }

  /**
   * The smallest distance that is significant, in steps of 1 / (n m).
   *
   * @return above 1 if none is
   */
  static double critical(int n, int m, double alpha) {
    int low = 1;
    int high = Math.multiplyExact(n, m) + 1;
    while (low < high) {
      int middle = (low + high) / 2;
      if (exact(middle / ((double) n * m), n, m, Side.TWO_SIDED) <= alpha) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low / ((double) n * m);
  }

  /** An ascending copy, all finite. */
  static double[] sorted(double[] values, String name) {
    double[] copy = values.clone();
    Arrays.sort(copy);
    for (double value : copy) {
      if (!Double.isFinite(value)) {
        throw new OutriggerException(name + " holds the value " + value + ": leave such rows out.");
      }
    }
    return copy;
  }
}
