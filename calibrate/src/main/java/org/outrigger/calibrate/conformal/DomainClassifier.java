package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Scopes;

/**
 * Logistic regression that tells target inputs from held-out ones, {@code P(target | x) = 1 / (1 +
 * exp(-(w x + b)))}: the mean log loss plus {@code l2/2 |w|^2}, minimised in float64 by Newton's
 * steps with halving. The odds times the ratio of sizes estimate {@code p_target(x) / p_held(x)}.
 */
final class DomainClassifier {
  private static final int STEPS = 100;
  private static final double TOLERANCE = 1e-10;

  private DomainClassifier() {}

  /**
   * The coefficients, the intercept last.
   *
   * @param held float64 [n, D], standardised
   * @param target float64 [m, D], standardised alike
   * @param l2 above 0
   * @return float64 [D + 1]
   */
  static Tensor fit(Tensor held, Tensor target, double l2) {
    return Scopes.tensor(
        () -> {
          long n = held.size(0);
          long m = target.size(0);
          Tensor x = extended(torch.cat(new TensorVector(held, target), 0));
          Tensor y =
              torch.cat(
                  new TensorVector(
                      torch.zeros(new long[] {n}, held.options()),
                      torch.ones(new long[] {m}, held.options())),
                  0);
          long d = x.size(1);
          Tensor ridge = torch.full(new long[] {d}, new Scalar(l2), held.options());
          // The intercept is free but for what keeps the system regular.
          ridge.narrow(0, d - 1, 1).fill_(new Scalar(1e-12));
          Tensor w = torch.zeros(new long[] {d}, held.options());
          double loss = loss(x, y, ridge, w);
          for (int step = 0; step < STEPS; step++) {
            Tensor at = w;
            Tensor move = Scopes.tensor(() -> newton(x, y, ridge, at));
            double largest = move.abs().amax().item_double();
            double scale = 1;
            Tensor next = w.sub(move);
            double reached = loss(x, y, ridge, next);
            while (reached > loss && scale > 1e-8) {
              scale /= 2;
              next = w.sub(move.mul(new Scalar(scale)));
              reached = loss(x, y, ridge, next);
            }
            if (reached > loss) {
              break;
            }
            w = next;
            loss = reached;
            if (largest * scale <= TOLERANCE) {
              break;
            }
          }
          return w;
        });
  }

  private static Tensor newton(Tensor x, Tensor y, Tensor ridge, Tensor w) {
    double n = x.size(0);
    Tensor p = torch.sigmoid(x.mv(w));
    Tensor gradient = x.t().mv(p.sub(y)).div(new Scalar(n)).add(ridge.mul(w));
    Tensor curvature = p.mul(p.neg().add(new Scalar(1.0))).unsqueeze(1);
    Tensor hessian =
        x.t().mm(x.mul(curvature)).div(new Scalar(n)).add(torch.diag(ridge.add(new Scalar(1e-12))));
    return torch.linalg_solve(hessian, gradient);
  }

  private static double loss(Tensor x, Tensor y, Tensor ridge, Tensor w) {
    return Scopes.scoped(
        () -> {
          Tensor z = x.mv(w);
          // log(1 + exp(z)) - y z, without overflow.
          Tensor each = torch.logaddexp(z, torch.zeros_like(z)).sub(y.mul(z));
          return each.mean().item_double() + ridge.mul(w).mul(w).sum().item_double() / 2;
        });
  }

  /**
   * The log odds of being a target input.
   *
   * @param x float64 [N, D], standardised
   * @param coefficients [D + 1]
   * @return float64 [N]
   */
  static Tensor logOdds(Tensor x, Tensor coefficients) {
    return Scopes.tensor(() -> extended(x).mv(coefficients));
  }

  private static Tensor extended(Tensor x) {
    return torch.cat(new TensorVector(x, torch.ones(new long[] {x.size(0), 1}, x.options())), 1);
  }

  /** Mean and spread of the columns, [2, D]; a column without spread counts as one of 1. */
  static Tensor scale(Tensor held, Tensor target) {
    return Scopes.tensor(
        () -> {
          Tensor all = torch.cat(new TensorVector(held, target), 0);
          Tensor mean = all.mean(new long[] {0}, false, null);
          Tensor spread = all.sub(mean).square().mean(new long[] {0}, false, null).sqrt();
          Tensor tiny = spread.le(mean.abs().mul(new Scalar(1e-12)));
          return torch.stack(new TensorVector(mean, spread.masked_fill(tiny, new Scalar(1.0))), 0);
        });
  }

  /** Standardised rows, float64. */
  static Tensor standardised(Tensor x, Tensor scale) {
    return Scopes.tensor(
        () -> x.to(ScalarType.Double).sub(scale.select(0, 0)).div(scale.select(0, 1)));
  }
}
