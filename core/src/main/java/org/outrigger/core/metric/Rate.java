package org.outrigger.core.metric;

import org.apache.commons.statistics.distribution.BetaDistribution;
import org.apache.commons.statistics.distribution.NormalDistribution;
import org.outrigger.core.OutriggerException;

/** Confidence intervals of a rate: how many of so many. */
public final class Rate {
  private static final NormalDistribution NORMAL = NormalDistribution.of(0, 1);

  private Rate() {}

  /** Wilson's score interval: close to its level on average, never outside [0, 1]. */
  public static Interval wilson(long successes, long trials, double level) {
    check(successes, trials, level);
    double z = NORMAL.inverseSurvivalProbability((1 - level) / 2);
    double rate = successes / (double) trials;
    double centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials);
    double half =
        z
            / (1 + z * z / trials)
            * Math.sqrt(rate * (1 - rate) / trials + z * z / (4.0 * trials * trials));
    // At 0 and 1 the interval touches the rate exactly; rounding must not push it past.
    return new Interval(
        successes == 0 ? 0 : centre - half, rate, successes == trials ? 1 : centre + half, level);
  }

  /** Clopper and Pearson's exact interval: at least its level for every true rate. */
  public static Interval clopperPearson(long successes, long trials, double level) {
    check(successes, trials, level);
    double tail = (1 - level) / 2;
    double low =
        successes == 0
            ? 0
            : BetaDistribution.of(successes, trials - successes + 1.0)
                .inverseCumulativeProbability(tail);
    double high =
        successes == trials
            ? 1
            : BetaDistribution.of(successes + 1.0, trials - successes)
                .inverseSurvivalProbability(tail);
    return new Interval(low, successes / (double) trials, high, level);
  }

  private static void check(long successes, long trials, double level) {
    if (trials < 1 || successes < 0 || successes > trials) {
      throw new OutriggerException(
          successes + " of " + trials + " is no rate: at least one trial is needed.");
    }
    checkLevel(level);
  }

  static void checkLevel(double level) {
    if (!(level > 0 && level < 1)) {
      throw new OutriggerException("level = " + level + " is out of range: use a value in (0, 1).");
    }
  }
}
