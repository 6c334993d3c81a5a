package org.outrigger.stream;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Cramér-von Mises test of every feature by itself: the squared gap of the distribution functions,
 * all over the range instead of at its largest. With the pooled mid-ranks r of A and s of B,
 * ascending, {@code U = n sum (r_i - i)^2 + m sum (s_j - j)^2} and {@code T = U / (nm(n+m)) - (4nm
 * - 1) / (6(n+m))}.
 *
 * <p>The p-value counts all orders of both samples up to 20 rows each, and is that of the limit,
 * with mean and variance as they are, beyond.
 *
 * <p>Anderson, "On the Distribution of the Two-Sample Cramér-von Mises Criterion", Annals of
 * Mathematical Statistics 1962.
 */
@Card(
    slug = "cramer-von-mises",
    name = "Cramér-von Mises test",
    summary = "The squared gap of the distribution functions, feature by feature.",
    paper = "Anderson, On the Distribution of the Two-Sample Cramér-von Mises Criterion, 1962",
    year = 1962,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class CramerVonMises extends ReferenceTest<CramerVonMises.Settings> {
  private static final int MOST_EXACT = 20;

  /**
   * @param alpha the level of the whole, in (0, 1)
   * @param correction for the number of features
   */
  public record Settings(double alpha, Correction correction) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      Objects.requireNonNull(correction);
    }

    public static Settings defaults() {
      return new Settings(0.05, Correction.BONFERRONI);
    }
  }

  public CramerVonMises() {
    this(Settings.defaults());
  }

  public CramerVonMises(Settings settings) {
    super(settings);
  }

  /**
   * T of each feature.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @return [d]
   */
  public static Tensor statistic(Tensor reference, Tensor batch) {
    return Scopes.tensor(
        () -> {
          double n = reference.size(0);
          double m = batch.size(0);
          Tensor a = torch.sort(reference.t().contiguous(), 1, false).get0();
          Tensor b = torch.sort(batch.t().contiguous(), 1, false).get0();
          Tensor pooled = torch.sort(torch.cat(new TensorVector(a, b), 1), 1, false).get0();
          Tensor u =
              squares(a, pooled).mul(new Scalar(n)).add(squares(b, pooled).mul(new Scalar(m)));
          return u.div(new Scalar(n * m * (n + m)))
              .sub(new Scalar((4 * n * m - 1) / (6 * (n + m))));
        });
  }

  /** The summed squares of pooled mid-rank minus own rank. */
  private static Tensor squares(Tensor sorted, Tensor pooled) {
    Tensor below = KsTest.count(pooled, sorted, false).to(torch.ScalarType.Double);
    Tensor upTo = KsTest.count(pooled, sorted, true).to(torch.ScalarType.Double);
    Tensor midRank = below.add(upTo).add(new Scalar(1.0)).div(new Scalar(2.0));
    Tensor own =
        torch.arange(
            new Scalar(1.0),
            new Scalar(sorted.size(1) + 0.5),
            new TensorOptions(torch.ScalarType.Double));
    return midRank.sub(own.unsqueeze(0)).square().sum(1);
  }

  /** The p-value: exact up to 20 rows a sample, else that of the limit. */
  public static double pValue(double t, int n, int m) {
    return Math.max(n, m) <= MOST_EXACT ? exact(t, n, m) : limit(t, n, m);
  }

  /**
   * The share of all orders of both samples whose statistic is at least t, for values without ties.
   * An order is a path through a lattice, and {@code T (n+m)^2 / (nm)} is the summed square of
   * {@code i/n - j/m} along it.
   */
  public static double exact(double t, int n, int m) {
    long common = (long) n * m / gcd(n, m);
    long perFirst = common / n;
    long perSecond = common / m;
    double total = n + m;
    double observed = t * total * total / ((double) n * m) * common * common;
    long bound = (long) Math.floor(observed + 1e-7 * Math.max(1, observed));
    // How many paths to (i, j) have each sum; the row before is kept.
    Map<Long, Double>[] row = maps(m + 1);
    for (int i = 0; i <= n; i++) {
      Map<Long, Double>[] next = maps(m + 1);
      for (int j = 0; j <= m; j++) {
        long gap = perFirst * i - perSecond * j;
        Map<Long, Double> here = next[j];
        if (i == 0 && j == 0) {
          here.put(0L, 1.0);
        }
        if (i > 0) {
          row[j].forEach((sum, paths) -> here.merge(sum + gap * gap, paths, Double::sum));
        }
        if (j > 0) {
          next[j - 1].forEach((sum, paths) -> here.merge(sum + gap * gap, paths, Double::sum));
        }
      }
      row = next;
    }
    double all = 0;
    double beyond = 0;
    for (Map.Entry<Long, Double> entry : row[m].entrySet()) {
      all += entry.getValue();
      beyond += entry.getKey() >= bound ? entry.getValue() : 0;
    }
    return beyond / all;
  }

  @SuppressWarnings({"unchecked", "rawtypes"}) // an array of maps
  private static Map<Long, Double>[] maps(int size) {
    Map<Long, Double>[] all = new Map[size];
    for (int i = 0; i < size; i++) {
      all[i] = new HashMap<>();
    }
    return all;
  }

  private static long gcd(long a, long b) {
    return b == 0 ? a : gcd(b, a % b);
  }

  /** The p-value of the limit for large samples, T brought to the limit's mean and variance. */
  public static double limit(double t, int n, int m) {
    double nm = (double) n * m;
    double total = n + m;
    double mean = (1 + 1 / total) / 6;
    double variance =
        (total + 1)
            * (4 * nm * total - 3 * ((double) n * n + (double) m * m) - 2 * nm)
            / (45 * total * total * 4 * nm);
    double x = 1.0 / 6 + (t - mean) / Math.sqrt(45 * variance);
    return x < 0.003 ? 1 : Math.max(0, 1 - limitLaw(x));
  }

  /** The distribution function of the limit of n omega^2. */
  private static double limitLaw(double x) {
    double sum = 0;
    // Gamma(k + 1/2) / (Gamma(1/2) k!), of which the series is made.
    double ratio = 1;
    for (int k = 0; k < 20; k++) {
      double y = (4.0 * k + 1) * (4 * k + 1) / (16 * x);
      double term = ratio * Math.sqrt(4.0 * k + 1) * Math.exp(-y) * besselK(0.25, y);
      sum += term;
      if (term < 1e-17) {
        break;
      }
      ratio *= (k + 0.5) / (k + 1);
    }
    return sum / (Math.PI * Math.sqrt(x));
  }

  /** The modified Bessel function of the second kind: its integral by the trapezoidal rule. */
  private static double besselK(double order, double y) {
    double step = 0.03125;
    double sum = 0.5 * Math.exp(-y);
    for (int i = 1; i < 1000; i++) {
      double s = i * step;
      double term = Math.exp(-y * Math.cosh(s)) * Math.cosh(order * s);
      sum += term;
      if (term < 1e-18 * sum) {
        break;
      }
    }
    return sum * step;
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    double[] statistics = Tensors.doubles(statistic(reference, batch));
    double[] pValues = new double[statistics.length];
    for (int f = 0; f < pValues.length; f++) {
      pValues[f] = pValue(statistics[f], (int) reference.size(0), (int) batch.size(0));
    }
    return byFeature(statistics, pValues, settings().alpha, settings().correction);
  }
}
