package org.outrigger.calibrate.nngp;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A kernel matrix seen through a few of its rows, the landmarks: {@code K ~ U U^T} with {@code U =
 * K(X, M) L^-T}, {@code L L^T = K(M, M)}. Systems with {@code U U^T + eps I} are solved in {@code n
 * r}; with all rows as landmarks they are the exact ones. Williams and Seeger, Using the Nystrom
 * Method to Speed Up Kernel Machines, NeurIPS 2000.
 *
 * @param landmarks rows of X, [R, ...]
 * @param lower L, [R, R]
 * @param u [N, R]
 * @param inner the Cholesky factor of {@code eps I + U^T U}, [R, R]
 * @param eps above 0
 */
record NystromFactor(Tensor landmarks, Tensor lower, Tensor u, Tensor inner, double eps)
    implements AutoCloseable {

  /** Draws landmarks and factors; what it holds belongs to no scope. */
  static NystromFactor of(NngpKernel kernel, Tensor x, HyperParameters at, int count, long seed) {
    return Scopes.scoped(
        () -> {
          NngpKernel.Scales scales = at.scales();
          long r = Math.min(count, x.size(0));
          Tensor landmarks;
          try (Rng rng = Rng.named(seed, "landmarks")) {
            landmarks = x.index_select(0, rng.permutation(x.size(0)).narrow(0, 0, r));
          }
          Tensor lower =
              BlockedCholesky.factor(
                      () -> KernelBlocks.lower(kernel, landmarks, scales, 0),
                      "The kernel matrix of the landmarks")
                  .lower();
          Tensor cross = KernelBlocks.between(kernel, x, landmarks, scales);
          Tensor u = torch.linalg_solve_triangular(lower.t(), cross, true, false, false);
          Tensor inner =
              BlockedCholesky.factor(
                      () -> {
                        Tensor square = u.t().mm(u);
                        square.diagonal().add_(new Scalar(at.eps()));
                        return square;
                      },
                      "The landmarks' covariance")
                  .lower();
          return owned(landmarks, lower, u, inner, at.eps());
        });
  }

  /** With handles that belong to no scope. */
  static NystromFactor owned(Tensor landmarks, Tensor lower, Tensor u, Tensor inner, double eps) {
    return new NystromFactor(
        Scopes.own(landmarks), Scopes.own(lower), Scopes.own(u), Scopes.own(inner), eps);
  }

  /** {@code (U U^T + eps I)^-1 V}, [N, K]. */
  Tensor solve(Tensor v) {
    return Scopes.tensor(
        () -> v.sub(u.mm(BlockedCholesky.solve(inner, u.t().mm(v)))).div(new Scalar(eps)));
  }

  /** The rows of U that other inputs would have, [B, R]. */
  Tensor project(NngpKernel kernel, NngpKernel.Scales scales, Tensor rows) {
    return Scopes.tensor(
        () -> {
          Tensor cross = KernelBlocks.between(kernel, rows, landmarks, scales);
          return torch.linalg_solve_triangular(lower.t(), cross, true, false, false);
        });
  }

  @Override
  public void close() {
    Scopes.release(landmarks);
    Scopes.release(lower);
    Scopes.release(u);
    Scopes.release(inner);
  }
}
