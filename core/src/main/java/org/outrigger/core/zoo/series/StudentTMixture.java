package org.outrigger.core.zoo.series;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A mixture of K Student-t distributions for each point, moved and stretched to the series' own
 * place: {@code log p(x) = logsumexp_k(log w_k + log t_k((x - loc) / scale)) - log scale}.
 *
 * @param raw what the network gave, unbounded: degrees of freedom, location and scale of each
 *     component [..., K, 3]
 * @param logits of the weights [..., K]
 * @param loc where the series lies [...], or a shape that spreads to it
 * @param scale how wide the series is [...], above 0
 */
public record StudentTMixture(Tensor raw, Tensor logits, Tensor loc, Tensor scale) {

  /** Degrees of freedom [..., K]: 2 + softplus, so that the variance exists. */
  public static Tensor degrees(Tensor raw) {
    return Scopes.tensor(() -> torch.softplus(raw.select(-1, 0)).add(new Scalar(2)));
  }

  /** Scales of the components [..., K]: softplus, at least the machine's epsilon. */
  public static Tensor scales(Tensor raw) {
    double least = raw.scalar_type().intern() == ScalarType.Double ? 0x1p-52 : 0x1p-23;
    return Scopes.tensor(() -> torch.softplus(raw.select(-1, 2)).clamp_min(new Scalar(least)));
  }

  /**
   * The logarithm of a Student-t density.
   *
   * @param x of any shape
   * @param degrees above 0, of a shape that spreads to it, as the next two
   * @return of the common shape
   */
  public static Tensor logDensity(Tensor x, Tensor degrees, Tensor loc, Tensor scale) {
    return Scopes.tensor(
        () -> {
          Scalar half = new Scalar(0.5);
          Tensor y = x.sub(loc).div(scale);
          Tensor more = degrees.add(new Scalar(1)).mul(half);
          Tensor normaliser =
              scale
                  .log()
                  .add(degrees.log().mul(half))
                  .add(new Scalar(0.5 * Math.log(Math.PI)))
                  .add(degrees.mul(half).lgamma())
                  .sub(more.lgamma());
          return more.neg().mul(y.mul(y).div(degrees).log1p()).sub(normaliser);
        });
  }

  /**
   * The negative log-likelihood of each point.
   *
   * @param x [...]
   * @return [...]
   */
  public Tensor negativeLogLikelihood(Tensor x) {
    return Scopes.tensor(
        () -> {
          Tensor y = x.sub(loc).div(scale).unsqueeze(-1);
          Tensor each = logDensity(y, degrees(raw), raw.select(-1, 1), scales(raw));
          Tensor joint = torch.log_softmax(logits, -1).add(each);
          return scale.log().sub(torch.logsumexp(joint, -1));
        });
  }

  /**
   * Draws values. A component is chosen by its weight; its value is {@code sqrt(df (u^(-2/df) - 1))
   * cos(2 pi v)}, which is Student-t for uniform u and v (Bailey, 1994).
   *
   * @param samples how many for each point
   * @return [samples, ...]
   */
  public Tensor sample(int samples, Rng rng) {
    return Scopes.noGrad(
        () -> {
          ScalarType type = raw.scalar_type().intern();
          long[] points = logits.select(-1, 0).shape();
          long[] shape = new long[points.length + 1];
          shape[0] = samples;
          System.arraycopy(points, 0, shape, 1, points.length);
          Tensor upTo = torch.softmax(logits, -1).cumsum(-1);
          Tensor u = rng.uniform(type, shape).unsqueeze(-1);
          Tensor chosen =
              u.ge(upTo)
                  .sum(-1)
                  .clamp_max(new Scalar((double) (logits.size(-1) - 1)))
                  .to(ScalarType.Long)
                  .unsqueeze(-1);
          Tensor df = pick(degrees(raw), chosen);
          // Uniform in (0, 1]: zero has no logarithm.
          Tensor radius = rng.uniform(type, shape).neg().add(new Scalar(1));
          Tensor stretch =
              radius.log().mul(new Scalar(-2)).div(df).expm1().clamp_min(new Scalar(0)).mul(df);
          Tensor turn = rng.uniform(type, shape).mul(new Scalar(2 * Math.PI)).cos();
          return stretch
              .sqrt()
              .mul(turn)
              .mul(pick(scales(raw), chosen))
              .add(pick(raw.select(-1, 1), chosen))
              .mul(scale)
              .add(loc);
        });
  }

  /** The values of the chosen components: [..., K] and [S, ..., 1] to [S, ...]. */
  private static Tensor pick(Tensor values, Tensor chosen) {
    long[] shape = chosen.shape().clone();
    shape[shape.length - 1] = values.size(-1);
    return values.unsqueeze(0).expand(shape).gather(-1, chosen).squeeze(-1);
  }
}
