package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Principal components of features. */
final class Principal {
  private Principal() {}

  /**
   * The first components, or the features themselves in float64 if they are no more than that.
   *
   * @param features [N, D]
   * @param most components to keep; 0 keeps the features as they are
   * @return [N, D']
   */
  static Tensor first(Tensor features, int most) {
    if (most == 0 || features.size(1) <= most) {
      return Rows.of(features).block(0, features.size(0));
    }
    return project(features, (values, total) -> Math.min(most, values.length));
  }

  /**
   * As many components as carry that share of the variance.
   *
   * @param share above 0, at most 1
   * @return [N, D']
   */
  static Tensor share(Tensor features, double share) {
    return project(
        features,
        (values, total) -> {
          double sum = 0;
          for (int i = 0; i < values.length; i++) {
            sum += values[i];
            if (sum >= share * total * (1 - 1e-12)) {
              return i + 1;
            }
          }
          return values.length;
        });
  }

  private interface Count {
    /** How many of the variances, descending, are kept. */
    int of(double[] values, double total);
  }

  private static Tensor project(Tensor features, Count count) {
    return Scopes.tensor(
        () -> {
          Rows rows = Rows.of(features).centred();
          boolean tall = rows.size() >= rows.dimension();
          T_TensorTensor_T eigen = torch.linalg_eigh(tall ? rows.gram() : rows.outer());
          Tensor values = eigen.get0().flip(0).clamp_min_(new Scalar(0.0));
          double[] variances = Tensors.doubles(values);
          long kept = count.of(variances, values.sum().item_double());
          Tensor vectors = eigen.get1().flip(1).narrow(1, 0, kept);
          Tensor loadings = vectors;
          if (!tall) {
            Tensor back = Rows.zeros(rows.dimension(), kept);
            rows.forEach(
                (block, from, length) -> back.addmm_(block.t(), vectors.narrow(0, from, length)));
            loadings = back; // V diag(s): its columns are scaled to length 1 below
          }
          Tensor basis = signed(unit(loadings));
          Tensor projected = Rows.zeros(rows.size(), kept);
          rows.forEach(
              (block, from, length) -> projected.narrow(0, from, length).copy_(block.mm(basis)));
          return projected;
        });
  }

  private static Tensor unit(Tensor columns) {
    Tensor length = columns.square().sum(0).sqrt_();
    return columns.div(length.masked_fill(length.eq(new Scalar(0.0)), new Scalar(1.0)));
  }

  /** Each column with the sign that makes its largest entry positive: which it has is chance. */
  private static Tensor signed(Tensor columns) {
    Tensor largest = columns.abs().argmax(new org.bytedeco.pytorch.LongOptional(0), true);
    return columns.mul(columns.gather(0, largest).sign());
  }
}
