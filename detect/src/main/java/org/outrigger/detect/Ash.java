package org.outrigger.detect;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Activation shaping, shared by {@link AshP}, {@link AshB}, {@link AshS} and {@link Scale}: of the
 * n entries of an activation the {@code k = n - round(n percentile / 100)} largest are kept; s1 is
 * the sum before, s2 the sum of the kept ones.
 */
public final class Ash {
  /** What becomes of an activation. */
  public enum Variant {
    /** Kept entries stay as they are; the rest is 0. */
    P,
    /** Kept entries become s1 / k; the rest is 0. */
    B,
    /** Kept entries are multiplied by exp(s1 / s2); the rest is 0. */
    S,
    /** All entries are multiplied by exp(s1 / s2). */
    SCALE
  }

  private Ash() {}

  /** How many of {@code n} entries are kept; a half is rounded to the even number. */
  public static long kept(long n, double percentile) {
    return n - (long) Math.rint(n * percentile / 100);
  }

  /**
   * Shaped activations; the argument is not changed. Where nothing is active (s1 = s2 = 0) nothing
   * is scaled; where the kept entries do not add up to more than 0, the scaled variants give NaN.
   *
   * @param activations [N, ...], flattened for each row
   * @param percentile 0 to below 100
   * @return [N, ...]
   */
  public static Tensor shape(Tensor activations, double percentile, Variant variant) {
    return Scopes.tensor(
        () -> {
          Tensor rows = activations.flatten(1, -1);
          long k = kept(rows.size(1), percentile);
          T_TensorTensor_T top = rows.topk(k, 1, true, false);
          Tensor s1 = rows.sum(new long[] {1}, true, null);
          Tensor shaped =
              switch (variant) {
                case P -> pruned(rows, top, top.get0());
                case B -> pruned(rows, top, s1.div(new Scalar(k)).expand(rows.size(0), k));
                case S -> pruned(rows, top, top.get0().mul(factor(s1, top)));
                case SCALE -> rows.mul(factor(s1, top));
              };
          return shaped.view_as(activations);
        });
  }

  private static Tensor pruned(Tensor rows, T_TensorTensor_T top, Tensor values) {
    return torch.zeros_like(rows).scatter(1, top.get1(), values);
  }

  private static Tensor factor(Tensor s1, T_TensorTensor_T top) {
    Tensor s2 = top.get0().sum(new long[] {1}, true, null);
    Tensor inactive = s1.eq(new Scalar(0.0)).logical_and(s2.eq(new Scalar(0.0)));
    return s1.div(s2)
        .masked_fill(s2.le(new Scalar(0.0)), new Scalar(Double.NaN))
        .masked_fill(inactive, new Scalar(0.0))
        .exp();
  }

  static Fitted learn(Outputs known, double percentile, String who) {
    Fitted fitted = HeadEnergy.learn(known, who);
    if (kept(fitted.dimension(), percentile) < 1) {
      throw new OutriggerException(
          who
              + " with percentile = "
              + percentile
              + " keeps none of "
              + fitted.dimension()
              + " features: lower it.");
    }
    return fitted;
  }

  static Tensor score(Fitted fitted, Rows rows, double percentile, Variant variant) {
    Tensor features = rows.features();
    Tensor shaped = shape(features, percentile, variant);
    if (!Double.isFinite(shaped.sum().item_double())) {
      Shapes.finite(
          "The shaped activations (they must be 0 or more, as after ReLU, for ASH and SCALE)",
          shaped);
    }
    return HeadEnergy.of(shaped, fitted.head(features.scalar_type().intern()));
  }
}
