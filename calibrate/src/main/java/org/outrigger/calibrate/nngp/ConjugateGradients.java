package org.outrigger.calibrate.nngp;

import java.util.Locale;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/**
 * Preconditioned conjugate gradients for symmetric positive definite systems whose matrix is only
 * ever multiplied with; several right-hand sides at a time, each with steps of its own. Hestenes
 * and Stiefel, 1952.
 */
final class ConjugateGradients {
  private static final double NOTHING = 1e-300;

  private ConjugateGradients() {}

  /**
   * Solves {@code A X = B}.
   *
   * @param product {@code V -> A V}, [N, K]
   * @param precondition {@code V -> P^-1 V} with P near A
   * @param b [N, K]
   * @param tolerance of the residual's norm, relative to that of b, for every column
   * @param iterations at most
   * @return X, [N, K]
   * @throws OutriggerException if the tolerance is not reached
   */
  static Tensor solve(
      UnaryOperator<Tensor> product,
      UnaryOperator<Tensor> precondition,
      Tensor b,
      double tolerance,
      int iterations) {
    return Scopes.noGrad(
        () -> {
          Tensor norm = b.square().sum(0).sqrt().clamp_min(new Scalar(NOTHING));
          Tensor x = b.mul(new Scalar(0.0));
          Tensor residual = b.clone();
          Tensor direction = precondition.apply(residual).clone();
          Tensor rz = residual.mul(direction).sum(0);
          double error = 1;
          for (int i = 0; i < iterations; i++) {
            try (PointerScope scope = new PointerScope()) {
              Tensor moved = product.apply(direction);
              Tensor step = rz.div(direction.mul(moved).sum(0).clamp_min(new Scalar(NOTHING)));
              x.add_(direction.mul(step));
              residual.sub_(moved.mul(step));
              error = residual.square().sum(0).sqrt().div(norm).max().item_double();
              if (error <= tolerance) {
                return x;
              }
              Tensor z = precondition.apply(residual);
              Tensor next = residual.mul(z).sum(0);
              direction.mul_(next.div(rz.clamp_min(new Scalar(NOTHING)))).add_(z);
              rz.copy_(next);
            }
          }
          throw new OutriggerException(
              String.format(
                  Locale.ROOT,
                  "Conjugate gradients reached a relative residual of %.2g in %d steps, not %.2g:"
                      + " raise landmarks or cgIterations, or raise eps.",
                  error,
                  iterations,
                  tolerance));
        });
  }
}
