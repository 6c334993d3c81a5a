package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.StringViewOptional;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Scopes;

/**
 * The quantiles of calibration scores that conformal sets are cut at. All take leading dimensions
 * for independent calibration sets, "..." below; scores are float64.
 */
public final class ConformalQuantile {
  /** Keeps (n + 1)(1 - alpha) from being rounded up past a whole number that it equals. */
  private static final double SLACK = 1e-9;

  private ConformalQuantile() {}

  /** Which smallest score it is, from 1: ceil((n + 1)(1 - alpha)); above n if n is too small. */
  public static long rank(long n, double alpha) {
    return Math.max(1, (long) Math.ceil((n + 1) * (1 - alpha) - SLACK));
  }

  /** The fewest calibration scores whose quantile is finite. */
  public static long fewest(double alpha) {
    return (long) Math.ceil(1 / alpha - 1 - SLACK);
  }

  /**
   * The {@link #rank}-th smallest score.
   *
   * @param scores [..., n]
   * @return [...]; positive infinity where n is too small
   */
  public static Tensor of(Tensor scores, double alpha) {
    return Scopes.noGrad(
        () -> {
          long n = scores.size(-1);
          long k = rank(n, alpha);
          return k > n
              ? torch.full_like(scores.select(-1, 0), new Scalar(Double.POSITIVE_INFINITY))
              : torch.kthvalue(scores, k, -1, false).get0();
        });
  }

  /**
   * The same within each class.
   *
   * @param scores [..., n]
   * @param labels int64 [..., n]
   * @return [..., classes]; positive infinity for classes with too few rows
   */
  public static Tensor byClass(Tensor scores, Tensor labels, long classes, double alpha) {
    return Scopes.noGrad(
        () -> {
          long n = scores.size(-1);
          Tensor[] quantiles = new Tensor[Math.toIntExact(classes)];
          for (int c = 0; c < quantiles.length; c++) {
            long label = c;
            quantiles[c] =
                Scopes.tensor(
                    () -> {
                      Tensor mine = labels.eq(new Scalar(label));
                      Tensor count = mine.sum(-1).to(ScalarType.Double);
                      Tensor k =
                          count
                              .add(new Scalar(1.0))
                              .mul(new Scalar(1 - alpha))
                              .sub(new Scalar(SLACK))
                              .ceil()
                              .clamp_min(new Scalar(1.0));
                      Tensor sorted =
                          torch.sort(torch.where(mine, scores, infinity(scores)), -1, false).get0();
                      Tensor at =
                          k.clamp_max(new Scalar((double) n))
                              .sub(new Scalar(1.0))
                              .to(ScalarType.Long)
                              .unsqueeze(-1);
                      Tensor value = torch.gather(sorted, -1, at).squeeze(-1);
                      return torch.where(k.gt(count), infinity(value), value);
                    });
          }
          return torch.stack(new TensorVector(quantiles), -1);
        });
  }

  /**
   * Quantiles under weights: the smallest score at which the cumulative share of the weights, among
   * those of the calibration rows and the one new row, reaches 1 - alpha. The scale of the weights
   * cancels; equal weights give {@link #of}.
   *
   * @param scores [..., n]
   * @param weights of the calibration rows, 0 or more, [..., n]
   * @param added the weight of each new row, [..., M]
   * @return [..., M]; positive infinity where the calibration rows never reach it
   */
  public static Tensor weighted(Tensor scores, Tensor weights, Tensor added, double alpha) {
    return Scopes.noGrad(
        () -> {
          Sorted sorted = sort(scores, weights);
          return at(sorted.scores(), sorted.cumulative(), added, alpha);
        });
  }

  /** Scores in ascending order with the running sums of their weights. */
  record Sorted(Tensor scores, Tensor cumulative) {}

  static Sorted sort(Tensor scores, Tensor weights) {
    T_TensorTensor_T sorted = torch.sort(scores, new BoolOptional(true), -1, false);
    return new Sorted(
        sorted.get0().contiguous(), torch.gather(weights, -1, sorted.get1()).cumsum(-1));
  }

  static Tensor at(Tensor sorted, Tensor cumulative, Tensor added, double alpha) {
    long n = sorted.size(-1);
    Tensor total = cumulative.narrow(-1, n - 1, 1).add(added);
    Tensor wanted = total.mul(new Scalar((1 - alpha) * (1 - 1e-12))).contiguous();
    Tensor place =
        torch.searchsorted(
            cumulative.contiguous(),
            wanted,
            false,
            false,
            new StringViewOptional(),
            new TensorOptional());
    Tensor last = infinity(sorted.narrow(-1, 0, 1));
    return torch.gather(torch.cat(new TensorVector(sorted, last), -1), -1, place);
  }

  private static Tensor infinity(Tensor like) {
    return torch.full_like(like, new Scalar(Double.POSITIVE_INFINITY));
  }

  /**
   * How many unweighted rows the weights are worth: {@code (sum w)^2 / sum w^2}.
   *
   * @param weights [n]
   */
  public static double effectiveSize(Tensor weights) {
    return Scopes.scoped(
        () -> {
          double sum = weights.sum().item_double();
          return sum * sum / weights.mul(weights).sum().item_double();
        });
  }
}
