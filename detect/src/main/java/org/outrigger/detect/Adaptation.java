package org.outrigger.detect;

/**
 * What adapting {@link Mol} to a distribution came to.
 *
 * @param outcome where it started, or that it diverged
 * @param lossBefore of the support set with the weights that it started from
 * @param lossAfter of the support set after the steps; infinite if they diverged
 * @param activeIn the share of support rows with an energy above m_in afterwards; NaN if diverged
 * @param threshold above which an energy is called unknown from now on; NaN if there is none yet
 */
public record Adaptation(
    Outcome outcome, double lossBefore, double lossAfter, double activeIn, double threshold) {
  /** Where an adaptation started, or how it ended. */
  public enum Outcome {
    /** It went on from the present weights. */
    CONTINUED,
    /** It started from the initial weights. */
    RESET,
    /** It diverged: the earlier weights are kept. */
    REVERTED
  }
}
