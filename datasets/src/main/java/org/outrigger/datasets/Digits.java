package org.outrigger.datasets;

import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * 1,797 handwritten digits of 8 x 8 pixels: UCI Machine Learning Repository, Optical Recognition of
 * Handwritten Digits (Alpaydin and Kaynak, 1998), CC BY 4.0.
 */
public final class Digits {
  private Digits() {}

  /** All rows [64] in [0, 1], in their original order; the caller closes them. */
  public static TensorDataset all() {
    return Resources.table("digits", "Digits", 1.0 / 16);
  }

  /** All rows as images [1, 8, 8] in [0, 1]; the caller closes them. */
  public static TensorDataset images() {
    try (TensorDataset rows = all()) {
      return Scopes.scoped(
          () ->
              TensorDataset.builder(rows.inputs().view(-1, 1, 8, 8))
                  .labels(Tensors.labels(rows.labels()))
                  .classNames(rows.classNames())
                  .name(rows.name())
                  .build());
    }
  }
}
