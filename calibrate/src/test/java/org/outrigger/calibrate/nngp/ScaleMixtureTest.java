package org.outrigger.calibrate.nngp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.calibrate.nngp.NngpKernel.Activation;
import org.outrigger.calibrate.nngp.NngpKernel.Network;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class ScaleMixtureTest {
  private static final HyperParameters AT = new HyperParameters(1.4, 0.3, 1.1, 0.2, 2, 1.5, 2, 1.5);

  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(8);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  @ParameterizedTest
  @EnumSource(Process.class)
  void theMarginalLikelihoodHasTheGradientOfFiniteDifferences(Process process) {
    // Two blocks of the kernel matrix, and two equal rows.
    Tensor x = rng.normal(ScalarType.Double, 40, 3);
    x.select(0, 1).copy_(x.select(0, 0));
    Tensor y = rng.normal(ScalarType.Double, 40);
    Tensor uniform = rng.uniform(ScalarType.Double, 50);
    MarginalLikelihood likelihood =
        new MarginalLikelihood(
            new NngpKernel(Network.MLP, Activation.RELU, 2), process, x, y, uniform, AT);
    double[] u = likelihood.start();
    MarginalLikelihood.Value value = likelihood.value(u);
    for (int i = 0; i < u.length; i++) {
      double[] up = u.clone();
      double[] down = u.clone();
      up[i] += 1e-5;
      down[i] -= 1e-5;
      double slope = (likelihood.value(up).loss() - likelihood.value(down).loss()) / 2e-5;
      assertThat(value.gradient()[i])
          .as(likelihood.names().get(i))
          .isCloseTo(slope, within(1e-7 * (1 + Math.abs(slope))));
    }
    assertThat(likelihood.at(u).alpha()).isCloseTo(AT.alpha(), within(1e-12));
    assertThat(likelihood.at(u).eps()).isCloseTo(AT.eps(), within(1e-12));
  }

  @Test
  void theShapeOfThePriorStaysWithinItsBounds() {
    for (double u : new double[] {-800, -5, 0, 10, 900}) {
      double a = HyperParameters.natural("alpha", Tensors.scalar(u)).item_double();
      assertThat(a)
          .isBetween(HyperParameters.LOWEST_ALPHA - 1e-12, HyperParameters.HIGHEST_ALPHA + 1e-12);
    }
    assertThat(HyperParameters.natural("alpha", Tensors.scalar(900)).item_double())
        .isCloseTo(Math.exp(3), within(1e-9));
  }

  @Test
  void aPriorThatKnowsTheScaleIsTheGaussianProcess() {
    Tensor q = Tensors.scalar(31.0);
    Tensor log = Tensors.scalar(-12.0);
    double gaussian = ScaleMixture.gaussian(q, log, 25).item_double();
    double certain =
        ScaleMixture.studentT(q, log, 25, Tensors.scalar(1e7), Tensors.scalar(1e7)).item_double();
    assertThat(certain).isCloseTo(gaussian, within(1e-3));
    Tensor ones = torch.ones(new long[] {7}, new TensorOptions(ScalarType.Double));
    assertThat(ScaleMixture.sampled(q, log, 25, ones).item_double())
        .isCloseTo(gaussian, within(1e-10));
  }

  /** Drawing the scale from the inverse gamma must give the Student-t process. */
  @Test
  void importanceSamplingAgreesWithTheClosedForm() {
    double a = 3;
    double b = 2;
    Tensor q = Tensors.scalar(6.0);
    Tensor log = Tensors.scalar(1.5);
    Tensor draws = FiniteNetworks.inverseGamma(a, b, 200_000, 1);
    double exact =
        ScaleMixture.studentT(q, log, 5, Tensors.scalar(a), Tensors.scalar(b)).item_double();
    assertThat(ScaleMixture.sampled(q, log, 5, draws).item_double()).isCloseTo(exact, within(0.01));
    double[] weights = Tensors.doubles(ScaleMixture.weights(q, 5, draws));
    Tensor z = Tensors.of(new double[] {-2, 0.3, 6}, 3);
    double scale = Math.sqrt(ScaleMixture.studentTFactor(6, 5, a, b));
    Tensor t =
        new PredictiveLaw.StudentT(2 * a + 5)
            .logDensity(z.div(new Scalar(scale)))
            .sub(new Scalar(Math.log(scale)));
    Tensor mixed = new PredictiveLaw.NormalMixture(weights, Tensors.doubles(draws)).logDensity(z);
    assertThat(t.sub(mixed).abs().max().item_double()).isLessThan(0.03);
  }

  @Test
  void burrScalesAreWhereTheirDistributionSays() {
    double c = 2;
    double k = 1.5;
    Tensor u = Tensors.of(new double[] {0, 0.1, 0.5, 0.99}, 4);
    double[] s = Tensors.doubles(ScaleMixture.burr(u, Tensors.scalar(c), Tensors.scalar(k)));
    assertThat(s[0]).isLessThan(1e-100);
    for (int i = 1; i < 4; i++) {
      double p = 1 - Math.pow(1 + Math.pow(s[i], c), -k);
      assertThat(p).isCloseTo(Tensors.doubles(u)[i], within(1e-12));
    }
  }

  @Test
  void quantilesAndDensitiesFitEachOther() {
    PredictiveLaw[] laws = {
      new PredictiveLaw.Normal(),
      new PredictiveLaw.StudentT(3.5),
      new PredictiveLaw.NormalMixture(new double[] {0.3, 0.7}, new double[] {4, 0.5})
    };
    Tensor grid =
        torch.linspace(
            new Scalar(-200.0), new Scalar(200.0), 400_001, new TensorOptions(ScalarType.Double));
    for (PredictiveLaw law : laws) {
      Tensor density = law.logDensity(grid).exp().mul(new Scalar(0.001));
      double end = law.quantile(0.9);
      double below =
          density.masked_fill(grid.gt(new Scalar(end)), new Scalar(0.0)).sum().item_double();
      assertThat(below).as(law.toString()).isCloseTo(0.9, within(1e-3));
      assertThat(law.quantile(0.1)).isCloseTo(-end, within(1e-9));
      double square = density.mul(grid.square()).sum().item_double();
      assertThat(law.variance().getAsDouble()).isCloseTo(square, within(0.01 * square));
    }
    assertThat(new PredictiveLaw.StudentT(2).variance()).isEmpty();
    assertThatThrownBy(() -> new PredictiveLaw.Normal().quantile(1))
        .hasMessageContaining("probability");
  }

  @Test
  void theBlockedFactorIsTheFactor() {
    Tensor half = rng.normal(ScalarType.Double, 700, 710);
    Tensor a = half.mm(half.t());
    BlockedCholesky.Factor factor = BlockedCholesky.factor(() -> a.tril().clone(), "It");
    assertThat(factor.lower().sub(torch.linalg_cholesky(a)).abs().max().item_double())
        .isLessThan(1e-8);
    assertThat(factor.jitter()).isZero();
    assertThat(factor.lower().triu(1).abs().max().item_double()).isZero();
    Tensor b = rng.normal(ScalarType.Double, 700, 2);
    assertThat(a.mm(BlockedCholesky.solve(factor.lower(), b)).sub(b).abs().max().item_double())
        .isLessThan(1e-6);
  }

  @Test
  void aMatrixThatIsAlmostSingularGetsAJitterAndOneThatIsIndefiniteAnError() {
    Tensor v = rng.normal(ScalarType.Double, 300, 1);
    Tensor singular = v.mm(v.t());
    BlockedCholesky.Factor factor = BlockedCholesky.factor(() -> singular.tril().clone(), "It");
    double relative = factor.jitter() / singular.diagonal().mean().item_double();
    assertThat(relative).isBetween(0.99e-10, 1.01e-6);
    Tensor indefinite = Tensors.of(new double[] {1, 0, 2, 1}, 2, 2);
    assertThatThrownBy(() -> BlockedCholesky.factor(indefinite::clone, "It"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("smallest eigenvalue is -1");
    Tensor broken = Tensors.of(new double[] {1, 0, Double.NaN, 1}, 2, 2);
    assertThatThrownBy(() -> BlockedCholesky.factor(broken::clone, "It"))
        .hasMessageContaining("NaN");
  }
}
