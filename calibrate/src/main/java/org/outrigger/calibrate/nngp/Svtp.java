package org.outrigger.calibrate.nngp;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * The sparse variational t process for classification, and its Gaussian twin: inducing inputs Z,
 * {@code q(s) = InvGamma(a, b)}, {@code q(u_c | s) = N(mu_c, s diag(v_c))} for each class c with
 * one kernel. A class's values at other inputs are then multivariate t of 2a degrees of freedom,
 * mean {@code A mu_c} and scale {@code (b/a) (A diag(v_c) A^T + R)} with {@code A = K(B, Z) K_I^-1}
 * and {@code R = K(B, B) - A K(Z, B)}; {@code K_I = K(Z, Z) + jitter I}. Lee et al., ICLR 2022.
 *
 * <p>Gradients flow through all of it.
 */
public final class Svtp {
  private Svtp() {}

  /**
   * Gaussian values of each class at a batch, before the common scale.
   *
   * @param mean [C, B]
   * @param spread covariances [C, B, B], or variances [C, B] of {@link #marginal}
   */
  public record Values(Tensor mean, Tensor spread) implements AutoCloseable {
    @Override
    public void close() {
      mean.close();
      spread.close();
    }
  }

  /** The Cholesky factor of {@code K(Z, Z) + jitter I}, [I, I]. */
  public static Tensor factor(Tensor inducing, double jitter) {
    return Scopes.tensor(
        () -> {
          Tensor noise =
              torch
                  .eye(inducing.size(0), new TensorOptions(ScalarType.Double))
                  .mul(new Scalar(jitter));
          return Torch.call(
              "The kernel matrix of the inducing inputs is not positive definite: raise eps.",
              () -> torch.linalg_cholesky(inducing.add(noise)));
        });
  }

  /**
   * Means and covariances at a batch.
   *
   * @param lower from {@link #factor}, [I, I]
   * @param cross K(Z, B), [I, B]
   * @param own K(B, B), [B, B]
   * @param mu [C, I]
   * @param v [C, I], above 0
   */
  public static Values joint(Tensor lower, Tensor cross, Tensor own, Tensor mu, Tensor v) {
    Tensor[] kept = new Tensor[2];
    Scopes.run(
        () -> {
          Tensor half = BlockedCholesky.half(lower, cross);
          Tensor a = torch.linalg_solve_triangular(lower.t(), half, true, true, false).t();
          Tensor rest = own.sub(half.t().mm(half));
          Tensor known = a.unsqueeze(0).mul(v.unsqueeze(1)).matmul(a.t());
          kept[0] = Scopes.keep(mu.mm(a.t()));
          kept[1] = Scopes.keep(known.add(rest));
        });
    return new Values(kept[0], kept[1]);
  }

  /**
   * Means and variances of each row of a batch by itself.
   *
   * @param own the diagonal of K(B, B), [B]; the others as for {@link #joint}
   */
  public static Values marginal(Tensor lower, Tensor cross, Tensor own, Tensor mu, Tensor v) {
    Tensor[] kept = new Tensor[2];
    Scopes.run(
        () -> {
          Tensor half = BlockedCholesky.half(lower, cross);
          Tensor a = torch.linalg_solve_triangular(lower.t(), half, true, true, false);
          Tensor rest = own.sub(half.square().sum(0)).clamp_min(new Scalar(0.0));
          kept[0] = Scopes.keep(mu.mm(a));
          kept[1] = Scopes.keep(v.mm(a.square()).add(rest));
        });
    return new Values(kept[0], kept[1]);
  }

  /**
   * Samples of the classes' values at a batch.
   *
   * @param values of {@link #joint} or {@link #marginal}
   * @param normal standard normal draws [S, C, B]; [S, C, 1] gives every row the same
   * @param chiSquared draws of 2a degrees of freedom [S, C], one a vector; null for Gaussian values
   * @param a of q(s)
   * @param b of q(s)
   * @param jitter on the diagonal of covariances
   * @return [S, C, B]
   */
  public static Tensor samples(
      Values values,
      Tensor normal,
      @Nullable Tensor chiSquared,
      Tensor a,
      Tensor b,
      double jitter) {
    return Scopes.tensor(
        () -> {
          Tensor scaled = chiSquared == null ? values.spread : values.spread.mul(b.div(a));
          Tensor noise;
          if (scaled.dim() == 3) {
            Tensor ridge =
                torch
                    .eye(scaled.size(1), new TensorOptions(ScalarType.Double))
                    .mul(new Scalar(jitter));
            Tensor lower =
                Torch.call(
                    "The covariance of a batch is not positive definite: raise eps, or remove rows"
                        + " that are equal.",
                    () -> torch.linalg_cholesky(scaled.add(ridge)));
            noise = lower.unsqueeze(0).matmul(normal.unsqueeze(3)).squeeze(3);
          } else {
            noise = scaled.sqrt().unsqueeze(0).mul(normal);
          }
          if (chiSquared != null) {
            Tensor mixed = chiSquared.div(a.mul(new Scalar(2.0))).sqrt();
            noise = noise.div(mixed.unsqueeze(2));
          }
          return noise.add(values.mean.unsqueeze(0));
        });
  }

  /**
   * The mean log likelihood of labels over samples and rows.
   *
   * @param samples [S, C, B]
   * @param labels int64 [B]
   */
  public static Tensor expectedLogLikelihood(Tensor samples, Tensor labels) {
    return Scopes.tensor(() -> chosen(samples, labels).mean());
  }

  /** The log of each label's mean probability over samples, averaged over rows. */
  public static Tensor testLogLikelihood(Tensor samples, Tensor labels) {
    return Scopes.tensor(
        () ->
            chosen(samples, labels)
                .logsumexp(0)
                .sub(new Scalar(Math.log((double) samples.size(0))))
                .mean());
  }

  private static Tensor chosen(Tensor samples, Tensor labels) {
    Tensor index = labels.view(1, 1, -1).expand(samples.size(0), 1, labels.size(0));
    return torch.log_softmax(samples, 1).gather(1, index).squeeze(1);
  }

  /** Mean probabilities over samples, [B, C]. */
  public static Tensor probabilities(Tensor samples) {
    return Scopes.tensor(() -> torch.softmax(samples, 1).mean(0).t());
  }

  /**
   * The Kullback-Leibler divergence of the Student-t family from its prior.
   *
   * @param lower from {@link #factor}, [I, I]
   * @param mu [C, I]
   * @param v [C, I]
   * @param a of q(s), a scalar
   * @param b of q(s), a scalar
   * @param priorA of the prior of s
   * @param priorB of the prior of s
   */
  public static Tensor divergence(
      Tensor lower, Tensor mu, Tensor v, Tensor a, Tensor b, double priorA, double priorB) {
    return Scopes.tensor(
        () -> {
          Tensor log0 = b.log().sub(new Scalar(Math.log(priorB))).mul(new Scalar(priorA));
          Tensor gamma =
              torch.lgamma(a.mul(new Scalar(0.0)).add(new Scalar(priorA))).sub(a.lgamma());
          Tensor shape = a.sub(new Scalar(priorA)).mul(a.digamma());
          Tensor scale = b.neg().add(new Scalar(priorB)).mul(a).div(b);
          return divergence(lower, mu, v, a.div(b)).add(log0).add(gamma).add(shape).add(scale);
        });
  }

  /** As {@link #divergence(Tensor, Tensor, Tensor, Tensor, Tensor, double, double)}, Gaussian. */
  public static Tensor divergence(Tensor lower, Tensor mu, Tensor v) {
    return Scopes.tensor(() -> divergence(lower, mu, v, torch.ones_like(lower.select(0, 0).sum())));
  }

  private static Tensor divergence(Tensor lower, Tensor mu, Tensor v, Tensor precision) {
    double classes = mu.size(0);
    double inducing = mu.size(1);
    Tensor identity = torch.eye(lower.size(0), new TensorOptions(ScalarType.Double));
    Tensor inverse = BlockedCholesky.half(lower, identity);
    Tensor diagonal = inverse.square().sum(0);
    Tensor squares = BlockedCholesky.half(lower, mu.t()).square().sum();
    return lower
        .diagonal()
        .log()
        .sum()
        .mul(new Scalar(2 * classes))
        .sub(v.log().sum())
        .sub(new Scalar(classes * inducing))
        .add(v.mul(diagonal).sum())
        .add(squares.mul(precision))
        .div(new Scalar(2.0));
  }
}
