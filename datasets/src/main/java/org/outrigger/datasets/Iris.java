package org.outrigger.datasets;

import org.outrigger.core.data.TensorDataset;

/**
 * 150 flowers of three species by 4 measurements in centimetres: UCI Machine Learning Repository,
 * Iris (Fisher, 1936), CC BY 4.0.
 */
public final class Iris {
  private Iris() {}

  /** All rows, in their original order; the caller closes them. */
  public static TensorDataset all() {
    return Resources.table("iris", "Iris", 1);
  }
}
