package org.outrigger.adapt;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/**
 * How far the means of two domains are apart in a common space: over all rows, and class by class,
 * where unlabelled rows count with the probability of the class.
 */
public final class MomentMatching {
  private MomentMatching() {}

  /**
   * {@code || mean(ps) - mean(pl, pu) ||^2}.
   *
   * @param source ps [S, D]
   * @param labelled pl [L, D]
   * @param unlabelled pu [U, D]
   * @return a scalar
   */
  public static Tensor marginal(Tensor source, Tensor labelled, Tensor unlabelled) {
    return Scopes.tensor(
        () -> {
          Tensor target = torch.cat(new TensorVector(labelled, unlabelled), 0);
          return source.mean(0).sub(target.mean(0)).square().sum();
        });
  }

  /**
   * The sum over classes of {@code || mean(ps of c) - (sum_{yl = c} pl + sum_i q_ic pu_i) / (n_lc +
   * sum_i q_ic) ||^2}.
   *
   * @param soft q [U, C], not negative; gradients run through it
   * @return a scalar
   */
  public static Tensor conditional(
      Tensor source,
      Tensor sourceLabels,
      Tensor labelled,
      Tensor labels,
      Tensor unlabelled,
      Tensor soft) {
    return Scopes.tensor(
        () -> {
          Tensor ofSource = oneHot(sourceLabels, soft);
          Tensor ofTarget = torch.cat(new TensorVector(oneHot(labels, soft), soft), 0);
          Tensor target = torch.cat(new TensorVector(labelled, unlabelled), 0);
          return means(ofSource, source).sub(means(ofTarget, target)).square().sum();
        });
  }

  /** The weighted mean of each class, [C, D]. */
  private static Tensor means(Tensor weights, Tensor rows) {
    return weights.t().matmul(rows).div(weights.sum(0).unsqueeze(1));
  }

  private static Tensor oneHot(Tensor labels, Tensor like) {
    return torch
        .zeros(new long[] {labels.size(0), like.size(1)}, like.options())
        .scatter(1, labels.unsqueeze(1), new Scalar(1.0));
  }
}
