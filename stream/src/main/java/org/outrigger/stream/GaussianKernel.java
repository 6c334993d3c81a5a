package org.outrigger.stream;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/** The kernel {@code exp(-|x - y|^2 / (2 sigma^2))}, its mean over several sigmas, and sigma. */
public final class GaussianKernel {
  private static final long MOST_ROWS = 2000;

  private GaussianKernel() {}

  /**
   * Squared distances by the expanded form, at least 1e-30.
   *
   * @param x [n, d]
   * @param y [m, d]
   * @return [n, m]
   */
  public static Tensor squaredDistances(Tensor x, Tensor y) {
    return Scopes.tensor(
        () ->
            x.square()
                .sum(1)
                .unsqueeze(1)
                .add(y.square().sum(1).unsqueeze(0))
                .sub(x.mm(y.t()).mul(new Scalar(2.0)))
                .clamp_min(new Scalar(1e-30)));
  }

  /**
   * The mean of the kernels of all sigmas.
   *
   * @param sigmas above 0, at least one
   * @return [n, m] in [0, 1]
   */
  public static Tensor of(Tensor x, Tensor y, double... sigmas) {
    return Scopes.tensor(
        () -> {
          Tensor squares = squaredDistances(x, y);
          Tensor sum = torch.zeros_like(squares);
          for (double sigma : sigmas) {
            sum.add_(squares.mul(new Scalar(-0.5 / (sigma * sigma))).exp_());
          }
          return sum.div_(new Scalar((double) sigmas.length));
        });
  }

  /**
   * Sigma by the median of squared distances inside one sample: the root of half of it, the
   * distance of each row to itself left out. Of more than 2,000 rows, 2,000 at even steps are used.
   *
   * @param x [n, d], n of 2 or more
   */
  public static double median(Tensor x) {
    return Scopes.scoped(
        () -> {
          Tensor rows = some(x);
          long n = rows.size(0);
          return sigma(squaredDistances(rows, rows), n + (n * n - n) / 2 - 1);
        });
  }

  /** Sigma by the median of squared distances between two samples. */
  public static double median(Tensor x, Tensor y) {
    return Scopes.scoped(
        () -> {
          Tensor squares = squaredDistances(some(x), some(y));
          return sigma(squares, Math.max(1, squares.numel() / 2) - 1);
        });
  }

  private static Tensor some(Tensor rows) {
    long step = (rows.size(0) + MOST_ROWS - 1) / MOST_ROWS;
    return step <= 1 ? rows : rows.slice(0, new LongOptional(), new LongOptional(), step);
  }

  private static double sigma(Tensor squares, long index) {
    Tensor sorted = torch.sort(squares.flatten()).get0();
    return Math.sqrt(0.5 * sorted.select(0, index).item_double());
  }
}
