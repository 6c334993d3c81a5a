package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class SsdTest {
  private static double[] scores(Ssd ssd, Tensor train, Tensor test) {
    // Without labels: no class is needed.
    ssd.fit(Outputs.of(train.narrow(1, 0, 2), train, null, null));
    return Tensors.doubles(ssd.score(new Output(test.narrow(1, 0, 2), test)));
  }

  @Property(tries = 20)
  void theScoreIsTheFormulaWithAPseudoInverse(@ForAll long seed, @ForAll boolean twice) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed);
              Ssd ssd = new Ssd(new Ssd.Settings(twice))) {
            Tensor train = rng.uniform(ScalarType.Double, 40, 4);
            Tensor test = rng.normal(ScalarType.Double, 6, 4);
            Tensor known = Ssd.unit(train);
            Tensor mean = known.mean(0);
            Tensor deviation = known.std(new long[] {0}, false, false).add(new Scalar(1e-10));
            Tensor white = known.sub(mean).div(deviation);
            Tensor inverse = torch.linalg_pinv(white.t().mm(white).div(new Scalar(40.0)));
            Tensor s = Ssd.unit(test).sub(mean).div(deviation);
            Tensor centred = twice ? s.sub(mean) : s;
            assertThat(scores(ssd, train, test))
                .containsExactly(
                    Tensors.doubles(centred.mm(inverse).mul(centred).sum(1)), within(1e-6));
          }
        });
  }

  @Test
  void onlyDirectionsCountAndAFeatureThatNeverVariesDoesNot() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1);
              Ssd ssd = new Ssd();
              Ssd wider = new Ssd()) {
            Tensor train = rng.uniform(ScalarType.Double, 60, 4);
            Tensor test = rng.uniform(ScalarType.Double, 5, 4);
            double[] plain = scores(ssd, train, test);
            assertThat(scores(ssd, train.mul(new Scalar(7.0)), test.mul(new Scalar(0.2))))
                .containsExactly(plain, within(1e-6));
            Tensor dead = torch.zeros_like(train.narrow(1, 0, 1));
            assertThat(
                    scores(
                        wider,
                        torch.cat(new TensorVector(train, dead), 1),
                        torch.cat(new TensorVector(test, dead.narrow(0, 0, 5)), 1)))
                .containsExactly(plain, within(1e-6));
          }
        });
  }

  @Test
  void whatDoesNotVaryCannotBeFitted() {
    Scopes.run(
        () -> {
          Tensor same = torch.ones(5, 3);
          try (Ssd ssd = new Ssd()) {
            assertThatThrownBy(() -> ssd.fit(Outputs.of(same, same, null, null)))
                .hasMessageContaining("SSD+")
                .hasMessageContaining("do not vary");
            assertThat(ssd.fitted()).isFalse();
          }
        });
  }
}
