package org.outrigger.datasets;

import org.outrigger.core.data.TensorDataset;

/**
 * 569 tumours by 30 measurements, 0 malignant and 1 benign: UCI Machine Learning Repository, Breast
 * Cancer Wisconsin (Diagnostic) (Wolberg, Mangasarian, Street and Street, 1995), CC BY 4.0.
 */
public final class BreastCancer {
  private BreastCancer() {}

  /** All rows, in their original order; the caller closes them. */
  public static TensorDataset all() {
    return Resources.table("breast-cancer", "Breast cancer", 1);
  }
}
