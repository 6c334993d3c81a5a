package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LbfgsTest {
  private static double rosenbrock(double[] x, double[] gradient) {
    double value = 0;
    Arrays.fill(gradient, 0);
    for (int i = 0; i + 1 < x.length; i++) {
      double bend = x[i + 1] - x[i] * x[i];
      value += 100 * bend * bend + (1 - x[i]) * (1 - x[i]);
      gradient[i] += -400 * x[i] * bend - 2 * (1 - x[i]);
      gradient[i + 1] += 200 * bend;
    }
    return value;
  }

  @Test
  void findsTheEndOfRosenbrocksValley() {
    for (int n : new int[] {2, 10}) {
      double[] start = new double[n];
      Arrays.setAll(start, i -> i % 2 == 0 ? -1.2 : 1);
      Lbfgs.Result result = Lbfgs.defaults().minimise(start, LbfgsTest::rosenbrock);
      assertThat(result.converged()).isTrue();
      assertThat(result.iterations()).isLessThan(150);
      assertThat(result.gradientNorm()).isLessThanOrEqualTo(1e-8);
      for (double x : result.x()) {
        assertThat(x).isCloseTo(1, within(1e-7));
      }
      assertThat(start[0]).isEqualTo(-1.2);
    }
  }

  /** A convex quadratic with curvatures from 1 to 10,000, whose minimum is known. */
  @Property(tries = 10)
  void solvesConvexQuadratics(@ForAll @IntRange(min = 0, max = 1000) int seed) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      Tensor q = torch.linalg_qr(rng.normal(ScalarType.Double, 12, 12)).get0();
      double[] curvatures = new double[12];
      Arrays.setAll(curvatures, i -> Math.pow(10, 4 * i / 11.0));
      Tensor a = q.mul(Tensors.of(curvatures, 12)).matmul(q.t());
      Tensor best = rng.normal(ScalarType.Double, 12);
      Lbfgs.Result result =
          Lbfgs.defaults()
              .minimise(
                  torch.zeros_like(best),
                  x -> {
                    Tensor d = x.sub(best);
                    // The large constant makes rounding of the value hide the last digits.
                    return a.matmul(d).dot(d).mul(new Scalar(0.5)).add(new Scalar(10.0));
                  });
      assertThat(result.converged()).isTrue();
      double[] wanted = Tensors.doubles(best);
      for (int i = 0; i < 12; i++) {
        assertThat(result.x()[i]).isCloseTo(wanted[i], within(1e-7));
      }
    }
  }

  @Test
  void staysWhereTheFunctionIsDefined() {
    // x - log x has its minimum at 1 and no value below 0, where the first long steps lead.
    Lbfgs.Result result =
        Lbfgs.defaults()
            .minimise(
                new double[] {30},
                (x, g) -> {
                  g[0] = 100 - 100 / x[0];
                  return 100 * x[0] - 100 * Math.log(x[0]);
                });
    assertThat(result.converged()).isTrue();
    assertThat(result.x()[0]).isCloseTo(1, within(1e-8));
  }

  @Test
  void saysWhenItsStepsAreUsedUp() {
    Lbfgs.Result result =
        new Lbfgs(5, 3, 1e-8).minimise(new double[] {-1.2, 1}, LbfgsTest::rosenbrock);
    assertThat(result.converged()).isFalse();
    assertThat(result.iterations()).isEqualTo(3);
    assertThat(result.value()).isLessThan(24.2);
  }

  @Test
  void badStartsAndSettingsAreNamed() {
    assertThatThrownBy(() -> Lbfgs.defaults().minimise(new double[] {1}, (x, g) -> Double.NaN))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cannot start");
    assertThatThrownBy(() -> new Lbfgs(0, 10, 1e-8)).hasMessageContaining("history = 0");
    assertThatThrownBy(() -> new Lbfgs(5, 10, 0)).hasMessageContaining("tolerance = 0.0");
  }
}
