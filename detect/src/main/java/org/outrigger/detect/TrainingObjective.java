package org.outrigger.detect;

import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Method;
import org.outrigger.core.model.Model;
import org.outrigger.core.optim.Objective;

/**
 * A way to train a classifier so that unknown inputs are easier to tell apart afterwards. Rows with
 * a label below 0 are outliers: known rows and outliers go through the network in one pass.
 */
public interface TrainingObjective extends Method, Objective, AutoCloseable {
  /**
   * Makes it ready to train that model: heads, prototypes, what it must see beforehand. A resumed
   * run is prepared alike before its checkpoint is read.
   *
   * @param train the labelled rows that it will be trained on
   * @param batchSize rows at a time, where it looks at them
   * @throws org.outrigger.core.OutriggerException if the model or the data lacks what it needs
   */
  default void prepare(Model model, IndexedDataset train, int batchSize) {}

  /** Whether it shapes the features alone, so that a linear head is still to be trained on them. */
  default boolean leavesHead() {
    return false;
  }

  @Override
  default void close() {}
}
