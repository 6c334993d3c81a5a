package org.outrigger.datasets;

import org.outrigger.core.data.TensorDataset;

/**
 * 178 wines of three growers by 13 measurements, as measured: UCI Machine Learning Repository, Wine
 * (Aeberhard and Forina, 1992), CC BY 4.0.
 */
public final class Wine {
  private Wine() {}

  /** All rows, in their original order; the caller closes them. */
  public static TensorDataset all() {
    return Resources.table("wine", "Wine", 1);
  }
}
