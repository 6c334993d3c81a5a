package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/**
 * The singular value decomposition X = U diag(s) V^T as regressions on X need it: the squared
 * singular values and what U makes of the targets. It is read off the smaller of X^T X and X X^T.
 *
 * <p>Squaring loses directions whose singular value is below some 1e-8 of the largest. They carry
 * less than the rounding of float32 features, and what a target has in them counts as residual.
 *
 * @param sigma squared singular values that are not zero, ascending, [k]
 * @param projections U^T T, [k, T]
 */
record Spectrum(Tensor sigma, Tensor projections, Tensor vectors, Rows rows) {
  private static final double EPSILON = Math.ulp(1.0);

  /** The targets T [N, T] of a regression, never written out for classes. */
  interface Targets {
    /** {@code rows}^T T, [D, T]. */
    Tensor product(Rows rows);

    /** The squared length of each target, [T]. */
    Tensor squares();
  }

  /**
   * One target a class: 1 for its rows, 0 for others.
   *
   * @param labels int64 [N]
   * @param counts rows of each class, float64 [C]
   */
  static Targets classes(Tensor labels, Tensor counts) {
    return new Targets() {
      @Override
      public Tensor product(Rows rows) {
        return rows.sums(labels, counts.size(0)).t();
      }

      @Override
      public Tensor squares() {
        return counts;
      }
    };
  }

  /** Numbers to be regressed on, float64 [N, T]. */
  static Targets values(Tensor values) {
    return new Targets() {
      @Override
      public Tensor product(Rows rows) {
        Tensor sum = Rows.zeros(rows.dimension(), values.size(1));
        rows.forEach(
            (block, from, length) -> sum.addmm_(block.t(), values.narrow(0, from, length)));
        return sum;
      }

      @Override
      public Tensor squares() {
        return values.square().sum(0);
      }
    };
  }

  /** Decomposes; tensors belong to the enclosing scope. */
  static Spectrum of(Rows rows, Targets targets) {
    boolean tall = rows.size() >= rows.dimension();
    return Scopes.scoped(
        () -> {
          T_TensorTensor_T eigen = torch.linalg_eigh(tall ? rows.gram() : rows.outer());
          Tensor values = eigen.get0();
          double largest = values.amax().item_double();
          if (!(largest > 0)) {
            throw new OutriggerException(
                "The features do not vary, so they cannot be scored: check that the model is"
                    + " trained and that its features are taken at the right place.");
          }
          double least = largest * EPSILON * Math.max(16, values.size(0));
          Tensor kept = values.gt(new Scalar(least)).nonzero().flatten();
          Tensor sigma = values.index_select(0, kept);
          Tensor vectors = eigen.get1().index_select(1, kept);
          Tensor projections =
              tall
                  ? vectors.t().mm(targets.product(rows)).div_(sigma.sqrt().unsqueeze(1))
                  : targets.product(Rows.of(vectors));
          return new Spectrum(
              Scopes.keep(new Tensor(sigma)),
              Scopes.keep(new Tensor(projections)),
              Scopes.keep(new Tensor(vectors)),
              rows);
        });
  }

  /** V diag(s) {@code coefficients}: from the basis U back to weights of features, [D, T]. */
  Tensor weights(Tensor coefficients) {
    return Scopes.tensor(
        () -> {
          if (rows.size() >= rows.dimension()) {
            return vectors.mm(coefficients.mul(sigma.sqrt().unsqueeze(1)));
          }
          Tensor combined = vectors.mm(coefficients); // [N, T]
          return values(combined).product(rows);
        });
  }
}
