package org.outrigger.core.optim;

import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Rng;

/**
 * An objective that chooses its outliers anew before every epoch, by what the network makes of them
 * then. Without it, outliers come in shuffled order and begin anew when all have been used.
 */
public interface OutlierChoice extends Objective {
  /**
   * The rows of the next epoch.
   *
   * @param model to predict with
   * @param outliers to choose from; not empty
   * @param count how many the epoch will use
   * @param rng where all randomness comes from; a function of seed and epoch
   * @return positions in {@code outliers} in the order of use, at least one; if there are fewer
   *     than {@code count} they are used again from the first
   */
  int[] choose(Model model, IndexedDataset outliers, int count, Rng rng);
}
