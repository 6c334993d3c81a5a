package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Symmetric pseudo-inverses of covariances, as a factor that whitens. */
final class Whitening {
  private static final Logger LOG = LoggerFactory.getLogger(Whitening.class);
  private static final double EPSILON = Math.ulp(1.0);

  private Whitening() {}

  /**
   * The matrix L with {@code L L^T = S^+}: a row times L has unit covariance. Directions with a
   * variance below {@code D * epsilon} times the largest, or times {@code scale}, are left out,
   * with a warning.
   *
   * @param covariance S, symmetric float64 [D, D]
   * @param scale the size of the numbers that S was computed from: what cancelled leaves rounding
   *     errors of that size times epsilon; 0 if S is exact
   * @param who the detector's name for messages
   * @return [D, R], where R is the rank
   */
  static Tensor factor(Tensor covariance, double scale, String who) {
    return Scopes.tensor(
        () -> {
          T_TensorTensor_T eigen = torch.linalg_eigh(covariance.add(covariance.t()).div(two()));
          Tensor values = eigen.get0();
          long dimension = values.size(0);
          double largest = values.amax().item_double();
          if (!(largest > 0)) {
            throw new OutriggerException(
                who + " cannot be fitted: the features do not vary. Give more varied data.");
          }
          Tensor kept =
              values
                  .gt(new Scalar(Math.max(largest, scale) * dimension * EPSILON))
                  .nonzero()
                  .flatten();
          if (kept.numel() < dimension) {
            LOG.warn(
                "{}: the covariance of the {} features has rank {} only; the other directions are"
                    + " ignored. More data than features would help.",
                who,
                dimension,
                kept.numel());
          }
          return eigen.get1().index_select(1, kept).mul(values.index_select(0, kept).rsqrt());
        });
  }

  private static Scalar two() {
    return new Scalar(2.0);
  }

  /**
   * Whether float32 features may be whitened in float32: the largest offset and spread, measured in
   * the smallest spread that counts, leave at least four good digits.
   *
   * @param factor L [D, R]
   * @param means the offsets that are whitened, [C, D]
   * @param covariance S [D, D]
   */
  static boolean fitsFloat(Tensor factor, Tensor means, Tensor covariance) {
    return Scopes.scoped(
        () -> {
          double sharpest = factor.square().sum(0).amax().sqrt().item_double();
          double spread = covariance.diagonal().amax().sqrt().item_double();
          double offset = means.abs().amax().item_double();
          return sharpest * (spread + offset) < 1e3;
        });
  }

  static ScalarType type(Tensor features, double single) {
    return single > 0 ? features.scalar_type().intern() : ScalarType.Double;
  }
}
