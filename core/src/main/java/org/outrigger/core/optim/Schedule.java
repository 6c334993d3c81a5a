package org.outrigger.core.optim;

import java.util.Arrays;
import org.outrigger.core.method.HyperParameter;

/**
 * The pace of training: a factor on the learning rate for each step, counted from 0 over the whole
 * run. A schedule has no state of its own: the step is all it needs, so a resumed run continues
 * exactly.
 */
@FunctionalInterface
public interface Schedule {
  /** The factor at a step. */
  double factor(long step);

  /** Always 1. */
  static Schedule constant() {
    return step -> 1;
  }

  /**
   * From 1 along half a cosine to {@code floor} at step {@code steps}, and {@code floor} from there
   * on. Loshchilov and Hutter, ICLR 2017.
   *
   * @param steps 1 or more
   * @param floor in [0, 1]
   */
  static Schedule cosine(long steps, double floor) {
    HyperParameter.atLeast("steps", steps, 1);
    HyperParameter.between("floor", floor, 0, 1);
    return step ->
        floor
            + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * Math.min(step, steps) / (double) steps));
  }

  /** As {@link #cosine(long, double)}, down to 0. */
  static Schedule cosine(long steps) {
    return cosine(steps, 0);
  }

  /**
   * From 0 in a straight line to 1 at step {@code warmUp}, then along half cosines from 1 to 0, and
   * 0 from step {@code steps} on.
   *
   * @param warmUp 0 or more
   * @param steps of the whole run, more than {@code warmUp}
   * @param cycles how many half cosines, each beginning at 1
   */
  static Schedule warmUpCosine(long warmUp, long steps, int cycles) {
    HyperParameter.atLeast("warmUp", warmUp, 0);
    HyperParameter.require(steps > warmUp, "steps", steps, "more than warmUp = " + warmUp);
    HyperParameter.atLeast("cycles", cycles, 1);
    return step -> {
      if (step < warmUp) {
        return step / (double) warmUp;
      }
      double progress = (step - warmUp) / (double) (steps - warmUp);
      return progress >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * (cycles * progress % 1)));
    };
  }

  /**
   * Times {@code gamma} after every {@code every} steps.
   *
   * @param every 1 or more
   * @param gamma above 0
   */
  static Schedule step(long every, double gamma) {
    HyperParameter.atLeast("every", every, 1);
    HyperParameter.positive("gamma", gamma);
    return step -> Math.pow(gamma, Math.floorDiv(step, every));
  }

  /** Times {@code gamma} at each of these steps. */
  static Schedule multiStep(double gamma, long... milestones) {
    HyperParameter.positive("gamma", gamma);
    long[] sorted = milestones.clone();
    Arrays.sort(sorted);
    return step ->
        Math.pow(
            gamma, (double) Arrays.stream(sorted).filter(milestone -> step >= milestone).count());
  }

  /**
   * This schedule after a linear warm-up: the factor rises from {@code start + (1 - start) / steps}
   * at step 0 to 1 at step {@code steps - 1}; then this schedule begins at its step 0.
   *
   * @param steps 0 or more
   * @param start in [0, 1]
   */
  default Schedule warmUp(long steps, double start) {
    HyperParameter.atLeast("steps", steps, 0);
    HyperParameter.between("start", start, 0, 1);
    return step -> step < steps ? start + (1 - start) * (step + 1) / steps : factor(step - steps);
  }

  /** As {@link #warmUp(long, double)} from 0. */
  default Schedule warmUp(long steps) {
    return warmUp(steps, 0);
  }
}
