package org.outrigger.detect;

import org.outrigger.core.method.Method;
import org.outrigger.core.model.Model;
import org.outrigger.core.optim.Objective;

/**
 * A way to train a classifier so that unknown inputs are easier to tell apart afterwards. Rows with
 * a label below 0 are outliers: known rows and outliers go through the network in one pass.
 */
public interface TrainingObjective extends Method, Objective {
  /**
   * Makes a model ready before its training begins, such as by replacing a layer. A run that is
   * resumed does this again before the saved weights come back. Does nothing by default.
   *
   * @param seed of all randomness
   */
  default void prepare(Model model, long seed) {}
}
