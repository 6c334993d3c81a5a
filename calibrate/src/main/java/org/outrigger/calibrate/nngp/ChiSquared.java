package org.outrigger.calibrate.nngp;

import org.apache.commons.rng.UniformRandomProvider;
import org.apache.commons.rng.sampling.distribution.AhrensDieterMarsagliaTsangGammaSampler;
import org.apache.commons.rng.sampling.distribution.SharedStateContinuousSampler;
import org.apache.commons.rng.simple.RandomSource;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Seeded draws from chi-squared distributions, and how they move with the degrees of freedom. */
final class ChiSquared {
  private static final double STEP = 1e-5;

  private final UniformRandomProvider random;

  ChiSquared(long seed, String purpose) {
    random = RandomSource.XO_RO_SHI_RO_128_PP.create(Rng.derive(seed, purpose));
  }

  /**
   * Draws of 2a degrees of freedom.
   *
   * @param a above 0
   * @return float64 [rows, columns]
   */
  Tensor draw(double a, int rows, int columns) {
    SharedStateContinuousSampler gamma = AhrensDieterMarsagliaTsangGammaSampler.of(random, a, 2.0);
    return Tensors.of(gamma.samples((long) rows * columns).toArray(), rows, columns);
  }

  /**
   * The same draws as a function of a, so that gradients flow to it: at a fixed probability {@code
   * P(a, g)} the draw g moves by {@code -(dP/da) / p(g)}. Figurnov et al., Implicit
   * Reparameterization Gradients, NeurIPS 2018.
   *
   * @param draws of {@code 2a} degrees of freedom, any shape
   * @param a a scalar that gradients flow to
   */
  static Tensor following(Tensor draws, Tensor a) {
    return Scopes.tensor(
        () -> {
          Tensor still = a.detach();
          Tensor slope = Scopes.noGrad(() -> slope(draws.div(new Scalar(2.0)), still));
          return draws.add(slope.mul(a.sub(still)).mul(new Scalar(2.0)));
        });
  }

  private static Tensor slope(Tensor gamma, Tensor a) {
    Tensor h = a.mul(new Scalar(STEP));
    Tensor rise =
        torch
            .special_gammainc(a.add(h).expand_as(gamma), gamma)
            .sub(torch.special_gammainc(a.sub(h).expand_as(gamma), gamma))
            .div(h.mul(new Scalar(2.0)));
    Tensor logDensity = gamma.log().mul(a.sub(new Scalar(1.0))).sub(gamma).sub(torch.lgamma(a));
    return rise.neg().div(logDensity.exp());
  }
}
