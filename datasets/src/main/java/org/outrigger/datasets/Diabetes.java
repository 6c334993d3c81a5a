package org.outrigger.datasets;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;

/**
 * 442 patients with diabetes by 10 measurements, and how far the disease had gone a year later, a
 * number from 25 to 346: data for regression. Efron, Hastie, Johnstone and Tibshirani, Least Angle
 * Regression, Annals of Statistics 2004.
 */
public final class Diabetes {
  /** The name of the column to predict. */
  public static final String TARGET = "progression";

  private static final long FEATURES = 10;

  private Diabetes() {}

  /**
   * All rows [11] as measured, without labels: the measurements, then {@link #TARGET}; the caller
   * closes them.
   */
  public static TensorDataset table() {
    return Resources.numbers("diabetes", "Diabetes");
  }

  /**
   * The measurements as they are, float32 [442, 10]; owned by the enclosing scope or the caller.
   */
  public static Tensor inputs() {
    return Scopes.tensor(
        () -> {
          try (TensorDataset all = table()) {
            return all.inputs().narrow(1, 0, FEATURES).clone();
          }
        });
  }

  /** What is to be predicted, float32 [442]; owned by the enclosing scope or the caller. */
  public static Tensor targets() {
    return Scopes.tensor(
        () -> {
          try (TensorDataset all = table()) {
            return all.inputs().select(1, FEATURES).clone();
          }
        });
  }
}
