package org.outrigger.calibrate.nngp;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/**
 * Gaussian processes with a random common scale, {@code f | s ~ GP(0, s K)}. With {@code s = 1} it
 * is a Gaussian process; with {@code s ~ InvGamma(a, b)} a Student-t process of 2a degrees of
 * freedom and scale matrix {@code (b/a) K}; any other prior of s, here Burr XII of scale 1, is
 * sampled. What the data say enters through two numbers alone: {@code q = y^T K_n^-1 y} and {@code
 * log |K_n|} with {@code K_n = K(X, X) + eps I}.
 *
 * <p>Lee et al., Scale Mixtures of Neural Network Gaussian Processes, ICLR 2022. All functions take
 * and give float64 scalars that gradients flow through, unless they say otherwise.
 */
public final class ScaleMixture {
  private static final double SMALLEST = 1e-300;

  /** Which prior the scale has. */
  @SuppressWarnings("JavaLangClash")
  public enum Process {
    /** Fixed: a Gaussian process. */
    GAUSSIAN,
    /** Inverse gamma: a Student-t process. */
    STUDENT_T,
    /** Burr XII, by importance sampling. */
    BURR
  }

  private ScaleMixture() {}

  /**
   * {@code log N(y; 0, K_n)}.
   *
   * @param q y^T K_n^-1 y
   * @param logDeterminant log |K_n|
   * @param n the number of targets
   */
  public static Tensor gaussian(Tensor q, Tensor logDeterminant, long n) {
    return Scopes.tensor(
        () ->
            q.add(logDeterminant)
                .div(new Scalar(-2.0))
                .sub(new Scalar(0.5 * n * Math.log(2 * Math.PI))));
  }

  /**
   * The log marginal likelihood of the Student-t process.
   *
   * @param a shape of the inverse gamma prior, above 0
   * @param b its scale, above 0
   */
  public static Tensor studentT(Tensor q, Tensor logDeterminant, long n, Tensor a, Tensor b) {
    return Scopes.tensor(
        () -> {
          Tensor df = a.mul(new Scalar(2.0));
          Tensor both = df.add(new Scalar((double) n)).div(new Scalar(2.0));
          Tensor scaled = q.mul(a).div(b);
          Tensor logScale = logDeterminant.add(b.div(a).log().mul(new Scalar((double) n)));
          return scaled
              .div(df)
              .log1p()
              .mul(both)
              .neg()
              .sub(df.mul(new Scalar(Math.PI)).log().mul(new Scalar(0.5 * n)))
              .add(both.lgamma())
              .sub(a.lgamma())
              .sub(logScale.div(new Scalar(2.0)));
        });
  }

  /**
   * The log marginal likelihood, averaged over drawn scales.
   *
   * @param draws scales s_j from the prior, [J]
   */
  public static Tensor sampled(Tensor q, Tensor logDeterminant, long n, Tensor draws) {
    return Scopes.tensor(
        () -> {
          double constant = 0.5 * n * Math.log(2 * Math.PI) + Math.log((double) draws.numel());
          return logWeights(q, n, draws)
              .logsumexp(0)
              .sub(logDeterminant.div(new Scalar(2.0)))
              .sub(new Scalar(constant));
        });
  }

  /**
   * What the prior's draws weigh in the posterior.
   *
   * @param draws scales s_j from the prior, [J]
   * @return [J], sums to 1
   */
  public static Tensor weights(Tensor q, long n, Tensor draws) {
    return Scopes.tensor(() -> torch.softmax(logWeights(q, n, draws), 0));
  }

  private static Tensor logWeights(Tensor q, long n, Tensor draws) {
    Tensor s = draws.clamp_min(new Scalar(SMALLEST));
    return q.div(s.mul(new Scalar(-2.0))).sub(s.log().mul(new Scalar(0.5 * n)));
  }

  /**
   * Scales from the Burr XII distribution of scale 1, whose density is {@code c k s^(c-1) (1 +
   * s^c)^(-k-1)}, by its inverse.
   *
   * @param uniform in [0, 1), any shape
   * @param c above 0
   * @param k above 0
   */
  public static Tensor burr(Tensor uniform, Tensor c, Tensor k) {
    return Scopes.tensor(
        () ->
            uniform
                .neg()
                .log1p()
                .neg()
                .div(k)
                .expm1()
                .clamp_min(new Scalar(SMALLEST))
                .log()
                .div(c)
                .exp());
  }

  /**
   * What turns a posterior variance into the squared scale of the predictive Student-t: {@code (2a
   * + q a/b) / (2a + n) * b/a}.
   */
  public static double studentTFactor(double q, long n, double a, double b) {
    return (2 * a + q * a / b) / (2 * a + n) * b / a;
  }
}
