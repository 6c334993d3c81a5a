package org.outrigger.calibrate.conformal;

import java.util.Arrays;
import org.apache.commons.statistics.distribution.BetaDistribution;
import org.apache.commons.statistics.distribution.BinomialDistribution;
import org.outrigger.core.OutriggerException;

/** How high a true mean can be, given the mean of n independent losses in [0, 1]. */
public final class RiskBounds {
  private static final int HALVINGS = 60;

  private RiskBounds() {}

  /**
   * Hoeffding and Bentkus' p-value: if the true mean were {@code risk}, a sample mean as small as
   * {@code mean} would have at most this probability. {@code min(exp(-n kl(mean, risk)), e
   * P(Binomial(n, risk) <= ceil(n mean)))} for mean below risk, else 1. Bates et al., JACM 2021.
   *
   * @param mean of the losses, in [0, 1]
   * @param risk in (0, 1)
   * @param n how many losses, 1 or more
   */
  public static double hoeffdingBentkus(double mean, double risk, int n) {
    check(mean, n);
    if (!(risk > 0 && risk < 1)) {
      throw new OutriggerException("risk = " + risk + " is out of range: use a value in (0, 1).");
    }
    if (mean >= risk) {
      return 1;
    }
    double hoeffding = Math.exp(-n * divergence(mean, risk));
    int count = (int) Math.ceil(n * mean - 1e-9);
    double bentkus = Math.E * BinomialDistribution.of(n, risk).cumulativeProbability(count);
    return Math.min(1, Math.min(hoeffding, bentkus));
  }

  /** Kullback and Leibler's divergence of coins, a log(a/b) + (1-a) log((1-a)/(1-b)). */
  private static double divergence(double a, double b) {
    double first = a == 0 ? 0 : a * Math.log(a / b);
    double second = a == 1 ? 0 : (1 - a) * Math.log((1 - a) / (1 - b));
    return first + second;
  }

  /**
   * The upper confidence bound of Hoeffding and Bentkus: the true mean is above it with probability
   * delta at most.
   *
   * @param mean of the losses, in [0, 1]
   * @param delta in (0, 1)
   */
  public static double upperBound(double mean, int n, double delta) {
    check(mean, n);
    double low = mean;
    double high = 1;
    for (int i = 0; i < HALVINGS; i++) {
      double middle = (low + high) / 2;
      if (middle > 0 && middle < 1 && hoeffdingBentkus(mean, middle, n) <= delta) {
        high = middle;
      } else {
        low = middle;
      }
    }
    return high;
  }

  /**
   * The exact upper bound of a rate: the largest b at which so few events still have probability
   * delta, {@code P(Binomial(n, b) <= events) = delta} (Clopper and Pearson).
   */
  public static double binomialBound(long events, long n, double delta) {
    if (n < 1 || events < 0 || events > n) {
      throw new OutriggerException(events + " of " + n + " is no rate: at least one is needed.");
    }
    return events == n
        ? 1
        : BetaDistribution.of(events + 1.0, (double) (n - events))
            .inverseSurvivalProbability(delta);
  }

  /**
   * Risk-controlling choice among nested options: the first one such that it and all later ones
   * have an upper confidence bound below alpha, so that its true risk is at most alpha with
   * probability 1 - delta. Losses must not grow from one option to the next.
   *
   * @param losses [options][n], each in [0, 1], of the same n rows
   * @return the option's index; -1 if even the last is too risky for so few rows
   */
  public static int control(double[][] losses, double alpha, double delta) {
    int chosen = -1;
    for (int option = losses.length - 1; option >= 0; option--) {
      double[] row = losses[option];
      for (double loss : row) {
        if (!(loss >= 0 && loss <= 1)) {
          throw new OutriggerException(
              "Option "
                  + option
                  + " has the loss "
                  + loss
                  + ", but losses must be in [0, 1]:"
                  + " divide them by their bound.");
        }
      }
      double mean = Arrays.stream(row).sum() / row.length;
      if (hoeffdingBentkus(mean, alpha, row.length) > delta) {
        break;
      }
      chosen = option;
    }
    return chosen;
  }

  /**
   * The most misses among n rows at which the miss rate is still at most alpha with confidence 1 -
   * delta; -1 if n is too small for any.
   */
  public static int mostMisses(int n, double alpha, double delta) {
    int low = -1;
    int high = n;
    // The p-value grows with the misses.
    while (high - low > 1) {
      int middle = (low + high) >>> 1;
      if (hoeffdingBentkus(middle / (double) n, alpha, n) <= delta) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }

  private static void check(double mean, int n) {
    if (n < 1) {
      throw new OutriggerException("There is no loss: at least one row is needed.");
    }
    if (!(mean >= 0 && mean <= 1)) {
      throw new OutriggerException(
          "The mean loss is "
              + mean
              + ", but losses must be in [0, 1]: divide them by their bound.");
    }
  }
}
