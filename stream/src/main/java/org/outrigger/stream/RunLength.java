package org.outrigger.stream;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.Supplier;
import org.apache.commons.statistics.distribution.ChiSquaredDistribution;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;

/**
 * How many values pass until a detector says drift, by simulation. On streams without any change it
 * is the run length between false alarms (ARL0), which no detector's parameters state; on streams
 * that change it is the delay.
 *
 * @param runs streams that were simulated
 * @param alarms streams in which drift was said within the longest run
 * @param values all values that were fed
 * @param median of the runs, those without an alarm counted at full length
 */
public record RunLength(int runs, int alarms, long values, double median) {
  /** The values of a stream. */
  @FunctionalInterface
  public interface Source {
    /**
     * The next value.
     *
     * @param random the stream's own generator
     * @param t the position, from 0
     */
    double next(SplittableRandom random, long t);

    /** Errors, 1 with that rate and otherwise 0. */
    static Source errors(double rate) {
      HyperParameter.between("rate", rate, 0, 1);
      return (random, t) -> random.nextDouble() < rate ? 1 : 0;
    }

    /** Normal values. */
    static Source normal(double mean, double sd) {
      HyperParameter.notNegative("sd", sd);
      return (random, t) -> mean + sd * random.nextGaussian();
    }

    /** This source until position {@code at}, then another. */
    default Source then(long at, Source after) {
      return (random, t) -> t < at ? next(random, t) : after.next(random, t);
    }
  }

  /**
   * Feeds a new detector a new stream, again and again, each until it says drift.
   *
   * @param detectors makes a detector
   * @param source of the values
   * @param runs streams, 1 or more
   * @param longest values of a stream at most, 1 or more
   * @param seed of the streams: same seed, same result
   */
  public static RunLength simulate(
      Supplier<? extends DriftDetector> detectors,
      Source source,
      int runs,
      long longest,
      long seed) {
    return simulateDelay(detectors, source, source, 0, runs, longest, seed);
  }

  /**
   * As {@link #simulate}, for streams that change: counted is from the change on, and what a
   * detector says before it starts no new count.
   *
   * @param before the source of the first {@code at} values
   * @param after the source from then on
   * @param longest values after the change at most
   */
  public static RunLength simulateDelay(
      Supplier<? extends DriftDetector> detectors,
      Source before,
      Source after,
      long at,
      int runs,
      long longest,
      long seed) {
    HyperParameter.atLeast("at", at, 0);
    HyperParameter.atLeast("runs", runs, 1);
    HyperParameter.atLeast("longest", longest, 1);
    long[] lengths = new long[runs];
    int alarms = 0;
    for (int r = 0; r < runs; r++) {
      SplittableRandom random = new SplittableRandom(Rng.derive(seed, "run length " + r));
      DriftDetector detector = detectors.get();
      for (long t = 0; t < at; t++) {
        detector.update(before.next(random, t));
      }
      boolean drift = false;
      long t = 0;
      while (t < longest && !drift) {
        drift = detector.update(after.next(random, at + t)) == DriftLevel.DRIFT;
        t++;
      }
      lengths[r] = t;
      alarms += drift ? 1 : 0;
    }
    Arrays.sort(lengths);
    double median = (lengths[(runs - 1) / 2] + lengths[runs / 2]) / 2.0;
    return new RunLength(runs, alarms, Arrays.stream(lengths).sum(), median);
  }

  /**
   * Values an alarm: the mean run length if alarms come at a constant rate, also where streams
   * ended before one; infinite without any.
   */
  public double mean() {
    return alarms == 0 ? Double.POSITIVE_INFINITY : values / (double) alarms;
  }

  /** The lower end of the 95 % interval of {@link #mean}. */
  public double low() {
    return 2.0
        * values
        / ChiSquaredDistribution.of(2.0 * alarms + 2).inverseCumulativeProbability(0.975);
  }

  /** The upper end of the 95 % interval of {@link #mean}; infinite without any alarm. */
  public double high() {
    return alarms == 0
        ? Double.POSITIVE_INFINITY
        : 2.0
            * values
            / ChiSquaredDistribution.of(2.0 * alarms).inverseCumulativeProbability(0.025);
  }
}
