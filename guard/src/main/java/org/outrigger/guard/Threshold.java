package org.outrigger.guard;

import java.util.Arrays;
import org.apache.commons.statistics.distribution.BetaDistribution;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/**
 * The score up to which an input counts as known, chosen so that a wanted share of known inputs is
 * accepted.
 *
 * @param value an input is unknown if its score is above this
 * @param accept the share that was asked for
 * @param accepted the share of the hold-out that is accepted (ties are taken whole)
 * @param lower the lower end of the 95 % interval of the share that will be accepted of further
 *     known inputs
 * @param upper the upper end
 * @param rows how many known inputs it was chosen on
 */
public record Threshold(
    double value, double accept, double accepted, double lower, double upper, int rows) {

  /**
   * The smallest score that at least {@code accept} of the known scores do not exceed. For
   * continuous scores the share accepted in future then follows a Beta(k, n + 1 - k) distribution,
   * k being the number accepted of n: that gives the interval.
   *
   * @param known scores of held-out known inputs
   * @param accept in (0, 1)
   */
  public static Threshold choose(double[] known, double accept) {
    requireRows(known.length, accept);
    double[] sorted = known.clone();
    Arrays.sort(sorted);
    if (Double.isNaN(sorted[sorted.length - 1])) {
      throw new OutriggerException(
          "The detector gave NaN for some known inputs; no threshold can be chosen.");
    }
    int k = (int) Math.ceil(accept * sorted.length - 1e-9);
    double value = sorted[k - 1];
    long accepted = Arrays.stream(sorted).filter(s -> s <= value).count();
    double lower =
        BetaDistribution.of(accepted, sorted.length + 1.0 - accepted)
            .inverseCumulativeProbability(0.025);
    double upper =
        accepted == sorted.length
            ? 1
            : BetaDistribution.of(accepted, sorted.length + 1.0 - accepted)
                .inverseCumulativeProbability(0.975);
    return new Threshold(
        value, accept, (double) accepted / sorted.length, lower, upper, sorted.length);
  }

  /**
   * Says before any work whether {@code rows} held-out known inputs are enough to choose from.
   *
   * @throws OutriggerException if they are too few for that share
   */
  public static void requireRows(long rows, double accept) {
    HyperParameter.inside("accept", accept, 0, 1);
    long needed = (long) Math.ceil(1 / (1 - accept) - 1e-9);
    if (rows < needed) {
      throw new OutriggerException(
          "To accept "
              + accept * 100
              + " % of known inputs at least "
              + needed
              + " held-out rows are needed, but there are "
              + rows
              + ": give more validation data or ask for less.");
    }
  }
}
