package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class GramTest {
  @Property(tries = 20)
  void valuesAreTheRowSumsOfTheGramMatrix(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 5) int power) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor map = rng.normal(ScalarType.Double, 3, 4, 2, 3);
            Tensor f = map.flatten(2, -1).pow(new Scalar(power));
            Tensor sums = torch.matmul(f, f.transpose(1, 2)).sum(2);
            Tensor expected = sums.sign().mul(sums.abs().pow(new Scalar(1.0 / power)));
            assertThat(Gram.values(map, power).allclose(expected)).isTrue();
          }
        });
  }

  @Property(tries = 20)
  void theOrderOfChannelsDoesNotChangeTheDeviation(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor known = rng.normal(ScalarType.Double, 8, 5, 3, 3);
            Tensor tested = rng.normal(ScalarType.Double, 4, 5, 3, 3).mul(new Scalar(3.0));
            Tensor order = rng.permutation(5);
            double[] plain = Tensors.doubles(deviation(known, tested));
            double[] turned =
                Tensors.doubles(
                    deviation(known.index_select(1, order), tested.index_select(1, order)));
            for (int i = 0; i < plain.length; i++) {
              assertThat(turned[i]).isCloseTo(plain[i], within(1e-9 * (1 + plain[i])));
            }
            assertThat(Tensors.doubles(deviation(known, known))).containsOnly(0);
          }
        });
  }

  private static Tensor deviation(Tensor known, Tensor tested) {
    Tensor values = Gram.values(known, 3);
    return Gram.deviation(
        Gram.values(tested, 3),
        values.amin(new long[] {0}, false),
        values.amax(new long[] {0}, false));
  }

  @Test
  void aNetworksInnerLayersTellNoiseFromItsClasses() {
    Scopes.run(
        () -> {
          try (NeuralModel model =
                  NeuralModel.create("resnet8", Map.of(), new long[] {1, 12, 12}, 2, 5);
              Rng rng = new Rng(2);
              Gram gram = new Gram(new Gram.Settings(List.of(), 3, 1));
              Gram other = new Gram()) {
            List<String> maps = gram.maps(model);
            assertThat(maps).isNotEmpty().allMatch(m -> m.matches("(.*\\.)?(conv|relu|act).*"));
            Tensor known = rng.normal(80, 1, 12, 12).mul(new Scalar(0.1)).add(new Scalar(1.0));
            Output output = model.predict(known, maps);
            Tensor labels = Classes.predicted(output.logits());
            labels.narrow(0, 0, 10).copy_(Tensors.labels(0, 1, 0, 1, 0, 1, 0, 1, 0, 1));
            Outputs outputs = Outputs.of(output, labels, null);
            Output near =
                model.predict(
                    rng.normal(30, 1, 12, 12).mul(new Scalar(0.1)).add(new Scalar(1.0)), maps);
            Output far = model.predict(rng.normal(30, 1, 12, 12).mul(new Scalar(2.0)), maps);
            Fits.holds(gram, other, outputs, near);
            assertThat(Auroc.of(gram.score(near), gram.score(far))).isGreaterThan(0.95);
            assertThatThrownBy(() -> gram.score(model.predict(known)))
                .hasMessageContaining("inner layers");
          }
        });
  }

  @Test
  void aClassWithOneRowIsNamed() {
    Scopes.run(
        () -> {
          try (Gram gram = new Gram()) {
            Output output =
                new Output(
                    Tensors.of(new float[6], 3, 2),
                    null,
                    Map.of("conv", Tensors.of(new float[12], 3, 4)));
            assertThatThrownBy(() -> gram.fit(Outputs.of(output, Tensors.labels(0, 0, 1), null)))
                .hasMessageContaining("class 1 has 1");
          }
        });
  }
}
