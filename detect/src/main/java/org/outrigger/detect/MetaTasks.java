package org.outrigger.detect;

import java.util.List;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;

/**
 * Where {@link Mol} gets the tasks it trains on; {@link ShiftedTasks} makes them of one data set.
 */
@FunctionalInterface
public interface MetaTasks {
  /**
   * Draws a task; its tensors belong to the enclosing scope.
   *
   * @param rng where all randomness comes from; a function of the seed and the iteration
   */
  MetaTask draw(Rng rng);

  /** Tasks of several sources, such as one for each domain; each is as likely as the others. */
  static MetaTasks anyOf(List<? extends MetaTasks> sources) {
    if (sources.isEmpty()) {
      throw new OutriggerException(
          "There is no source of tasks to choose from: give at least one.");
    }
    List<MetaTasks> all = List.copyOf(sources);
    return rng -> all.get(ShiftedTasks.choice(all.size(), rng)).draw(rng);
  }
}
