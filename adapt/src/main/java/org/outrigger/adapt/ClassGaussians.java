package org.outrigger.adapt;

import java.util.Arrays;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * The mean and the covariance of each class's features, or one covariance about the class means, in
 * one pass and in float64. Scatters are kept about running means, so that no digits are lost to a
 * large offset; parts that were gathered apart can be merged. Its tensors belong to the scope that
 * it was made in.
 */
public final class ClassGaussians {
  private final boolean tied;
  private final Tensor counts; // [C]
  private final Tensor means; // [C, D]
  private final Tensor scatter; // [C, D, D], or [D, D] if tied

  /**
   * Starts empty.
   *
   * @param classes C, 1 or more
   * @param dimension D, 1 or more
   * @param tied whether the classes share one covariance
   */
  public ClassGaussians(long classes, long dimension, boolean tied) {
    this.tied = tied;
    counts = zeros(classes);
    means = zeros(classes, dimension);
    scatter = tied ? zeros(dimension, dimension) : zeros(classes, dimension, dimension);
  }

  private static Tensor zeros(long... shape) {
    return Scopes.tensor(() -> torch.zeros(shape, new TensorOptions(ScalarType.Double)));
  }

  /**
   * Adds rows.
   *
   * @param features [N, D], finite
   * @param labels int64 [N] in 0 .. C-1
   */
  public void add(Tensor features, Tensor labels) {
    Shapes.check()
        .size("D", means.size(1), "the Gaussians")
        .tensor("Features", features, "N", "D")
        .tensor("Labels", labels, "N");
    Shapes.labels("Labels", labels, means.size(0), false);
    Shapes.finite("Features", features);
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  Tensor x = features.to(ScalarType.Double);
                  for (long c : distinct(labels)) {
                    try (PointerScope scope = new PointerScope()) {
                      Tensor rows = labels.eq(new Scalar(c)).nonzero().flatten();
                      addClass(c, x.index_select(0, rows));
                    }
                  }
                  return true;
                }));
  }

  private long[] distinct(Tensor labels) {
    return Tensors.longs(
        torch.bincount(labels, new TensorOptional(), means.size(0)).nonzero().flatten());
  }

  private void addClass(long c, Tensor x) {
    Tensor mean = x.mean(0);
    Tensor centred = x.sub(mean);
    join(c, x.size(0), mean, centred.t().mm(centred));
  }

  /** Joins {@code rows} rows of a class with that mean; their scatter is added as well. */
  private void join(long c, double rows, Tensor mean, Tensor ownScatter) {
    double before = counts.select(0, c).item_double();
    Tensor apart = mean.sub(means.select(0, c));
    Tensor sum = tied ? scatter : scatter.select(0, c);
    sum.add_(ownScatter);
    sum.addr_(apart, apart, new Scalar(1.0), new Scalar(before * rows / (before + rows)));
    means.select(0, c).add_(apart, new Scalar(rows / (before + rows)));
    counts.select(0, c).add_(new Scalar(rows));
  }

  /** Adds what another of the same kind gathered from other rows. */
  public void merge(ClassGaussians other) {
    if (tied != other.tied || !Arrays.equals(means.shape(), other.means.shape())) {
      throw new OutriggerException(
          "Gaussians of "
              + Arrays.toString(other.means.shape())
              + " cannot be merged into those of "
              + Arrays.toString(means.shape())
              + ": both need the same classes, features and kind of covariance.");
    }
    Scopes.run(
        () -> {
          Tensor nothing = torch.zeros_like(tied ? scatter : scatter.select(0, 0));
          for (long c = 0; c < means.size(0); c++) {
            double rows = other.counts.select(0, c).item_double();
            if (rows > 0) {
              join(c, rows, other.means.select(0, c), tied ? nothing : other.scatter.select(0, c));
            }
          }
          if (tied) {
            scatter.add_(other.scatter);
          }
        });
  }

  /** The rows of each class, float64 [C]; borrowed. */
  public Tensor counts() {
    return counts;
  }

  /** The class means [C, D]; borrowed. */
  public Tensor means() {
    return means;
  }

  /**
   * The covariances, divided by the number of rows: [C, D, D], or [D, D] if tied.
   *
   * @throws OutriggerException if a class has no row
   */
  public Tensor covariances() {
    requireAll();
    return Scopes.tensor(
        () -> scatter.div(tied ? counts.sum() : counts.unsqueeze(1).unsqueeze(2)));
  }

  /**
   * One covariance about the class means, divided by the number of all rows, [D, D].
   *
   * @throws OutriggerException if a class has no row
   */
  public Tensor pooled() {
    requireAll();
    return Scopes.tensor(() -> (tied ? scatter : scatter.sum(0)).div(counts.sum()));
  }

  private void requireAll() {
    double least = Scopes.scoped(() -> counts.amin().item_double());
    if (least == 0) {
      long empty = Scopes.scoped(() -> counts.argmin().item_long());
      throw new OutriggerException(
          "Class "
              + empty
              + " has no row in the source data, so it has no mean: give rows of each of the "
              + means.size(0)
              + " classes.");
    }
  }
}
