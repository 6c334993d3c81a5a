package org.outrigger.calibrate.nngp;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Scopes;

/**
 * The Gaussian posterior of a function given noisy targets, {@code m = K_* K_n^-1 y} and {@code V =
 * K_** - K_* K_n^-1 K_*^T}, by one of three ways to solve with {@code K_n = K + eps I}. What it
 * holds belongs to no scope.
 */
sealed interface Posterior extends AutoCloseable {
  /** How systems with the kernel matrix are solved. */
  enum Solver {
    /** A Cholesky factor: n^2 memory, n^3 time. */
    EXACT,
    /** Conjugate gradients on kernel blocks: the same answer in memory of n times a few hundred. */
    CG,
    /** The kernel through landmarks: approximate, n times the landmarks. */
    NYSTROM
  }

  /** The kernel with what it is used on. */
  record Setting(NngpKernel kernel, HyperParameters at, Tensor x) {
    Tensor cross(Tensor rows) {
      return KernelBlocks.between(kernel, rows, x, at.scales());
    }
  }

  /** Mean and variance without noise, each [B]. */
  record Moments(Tensor mean, Tensor variance) {}

  /** y^T K_n^-1 y. */
  double q();

  /** At other rows, [B, ...]; the result belongs to the innermost scope. */
  Moments at(Setting setting, Tensor rows);

  /** What it holds, by name; borrowed. */
  Map<String, Tensor> tensors();

  @Override
  void close();

  /** Conditions on standardised targets y, float64 [N]. */
  static Posterior of(Solver solver, Setting setting, Tensor y, Cg cg) {
    return Scopes.scoped(
        () ->
            switch (solver) {
              case EXACT -> Exact.of(setting, y);
              case CG -> Iterative.of(setting, y, cg);
              case NYSTROM -> Landmarks.of(setting, y, cg);
            });
  }

  /** One that was saved. */
  static Posterior restored(
      Solver solver, Map<String, Tensor> tensors, double q, double eps, Cg cg) {
    return switch (solver) {
      case EXACT ->
          new Exact(Scopes.own(get(tensors, "lower")), Scopes.own(get(tensors, "alpha")), q);
      case CG -> new Iterative(Scopes.own(get(tensors, "alpha")), factor(tensors, eps), q, cg);
      case NYSTROM -> new Landmarks(Scopes.own(get(tensors, "alpha")), factor(tensors, eps), q);
    };
  }

  private static NystromFactor factor(Map<String, Tensor> tensors, double eps) {
    return NystromFactor.owned(
        get(tensors, "landmarks"),
        get(tensors, "lower"),
        get(tensors, "u"),
        get(tensors, "inner"),
        eps);
  }

  private static Tensor get(Map<String, Tensor> tensors, String name) {
    return Objects.requireNonNull(tensors.get(name), name);
  }

  private static Map<String, Tensor> named(Tensor alpha, NystromFactor factor) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("alpha", alpha);
    tensors.put("landmarks", factor.landmarks());
    tensors.put("lower", factor.lower());
    tensors.put("u", factor.u());
    tensors.put("inner", factor.inner());
    return tensors;
  }

  /**
   * How conjugate gradients and landmarks work.
   *
   * @param landmarks of the Nystrom factor
   * @param tolerance relative residual
   * @param iterations at most
   * @param seed of the landmarks
   */
  record Cg(int landmarks, double tolerance, int iterations, long seed) {}

  /** By a Cholesky factor; alpha is {@code K_n^-1 y}, [N]. */
  record Exact(Tensor lower, Tensor alpha, double q) implements Posterior {
    static Exact of(Setting setting, Tensor y) {
      Tensor lower =
          BlockedCholesky.factor(
                  () ->
                      KernelBlocks.lower(
                          setting.kernel, setting.x, setting.at.scales(), setting.at.eps()),
                  "The kernel matrix of the training rows")
              .lower();
      Tensor alpha = BlockedCholesky.solve(lower, y.unsqueeze(1)).squeeze(1);
      double q = y.dot(alpha).item_double();
      return new Exact(Scopes.own(lower), Scopes.own(alpha), q);
    }

    @Override
    public Moments at(Setting setting, Tensor rows) {
      Tensor cross = setting.cross(rows);
      Tensor half = BlockedCholesky.half(lower, cross.t());
      Tensor own = setting.kernel.diagonal(rows, setting.at.scales());
      return new Moments(cross.mv(alpha), own.sub(half.square().sum(0)));
    }

    @Override
    public Map<String, Tensor> tensors() {
      return Map.of("lower", lower, "alpha", alpha);
    }

    @Override
    public void close() {
      Scopes.release(lower);
      Scopes.release(alpha);
    }
  }

  /** By conjugate gradients, with a Nystrom preconditioner. */
  record Iterative(Tensor alpha, NystromFactor factor, double q, Cg cg) implements Posterior {
    static Iterative of(Setting setting, Tensor y, Cg cg) {
      NystromFactor factor =
          NystromFactor.of(setting.kernel, setting.x, setting.at, cg.landmarks, cg.seed);
      Tensor alpha = solve(setting, factor, cg, y.unsqueeze(1)).squeeze(1);
      double q = y.dot(alpha).item_double();
      return new Iterative(Scopes.own(alpha), factor, q, cg);
    }

    private static Tensor solve(Setting setting, NystromFactor factor, Cg cg, Tensor b) {
      return ConjugateGradients.solve(
          v ->
              KernelBlocks.product(
                  setting.kernel, setting.x, setting.at.scales(), setting.at.eps(), v),
          factor::solve,
          b,
          cg.tolerance,
          cg.iterations);
    }

    @Override
    public Moments at(Setting setting, Tensor rows) {
      Tensor cross = setting.cross(rows);
      Tensor solved = solve(setting, factor, cg, cross.t());
      Tensor own = setting.kernel.diagonal(rows, setting.at.scales());
      return new Moments(cross.mv(alpha), own.sub(cross.t().mul(solved).sum(0)));
    }

    @Override
    public Map<String, Tensor> tensors() {
      return named(alpha, factor);
    }

    @Override
    public void close() {
      Scopes.release(alpha);
      factor.close();
    }
  }

  /** Through landmarks; alpha is {@code U^T (U U^T + eps I)^-1 y}, [R]. */
  record Landmarks(Tensor alpha, NystromFactor factor, double q) implements Posterior {
    static Landmarks of(Setting setting, Tensor y, Cg cg) {
      NystromFactor factor =
          NystromFactor.of(setting.kernel, setting.x, setting.at, cg.landmarks, cg.seed);
      Tensor solved = factor.solve(y.unsqueeze(1)).squeeze(1);
      double q = y.dot(solved).item_double();
      return new Landmarks(Scopes.own(factor.u().t().mv(solved)), factor, q);
    }

    @Override
    public Moments at(Setting setting, Tensor rows) {
      Tensor u = factor.project(setting.kernel, setting.at.scales(), rows);
      Tensor own = setting.kernel.diagonal(rows, setting.at.scales());
      Tensor known = BlockedCholesky.half(factor.inner(), u.t()).square().sum(0);
      Tensor variance = own.sub(u.square().sum(1)).add(known.mul(new Scalar(factor.eps())));
      return new Moments(u.mv(alpha), variance);
    }

    @Override
    public Map<String, Tensor> tensors() {
      return named(alpha, factor);
    }

    @Override
    public void close() {
      Scopes.release(alpha);
      factor.close();
    }
  }
}
