package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class CiderTest {
  private final Cider.Settings small = new Cider.Settings(2, 0.1, 0.9, 6, 1);

  @Property(tries = 20)
  void prototypesMoveSampleBySample(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor start = unit(rng.normal(ScalarType.Double, 3, 4));
            Tensor rows = unit(rng.normal(ScalarType.Double, 7, 4));
            int[] labels = {0, 2, 0, 0, 2, 0, 2};
            Tensor moved = Cider.update(start, rows, Tensors.labels(labels), 0.8);
            Tensor slow = start.clone();
            for (int i = 0; i < labels.length; i++) {
              Tensor p = slow.select(0, labels[i]);
              p.copy_(unit(p.mul(new Scalar(0.8)).add(rows.select(0, i).mul(new Scalar(0.2)))));
            }
            assertThat(moved.allclose(slow)).isTrue();
          }
        });
  }

  private static Tensor unit(Tensor rows) {
    return rows.div(rows.square().sum(new long[] {-1}, true, null).sqrt());
  }

  @Test
  void dispersionFallsWhenPrototypesMoveApart() {
    Scopes.run(
        () -> {
          Tensor close = unit(Tensors.of(new double[][] {{1, 0.1}, {1, -0.1}}));
          Tensor opposite = Tensors.of(new double[][] {{1, 0}, {-1, 0}});
          assertThat(Cider.dispersion(opposite, 0.1).item_double()).isCloseTo(-10, within(1e-9));
          assertThat(Cider.dispersion(close, 0.1).item_double()).isGreaterThan(9);
        });
  }

  @Test
  void trainingTheHeadLowersTheLossAndARestoredOneContinues() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(3, 3, 5);
          Tensor features = blobs.near(30);
          Tensor labels = blobs.labels(30);
          try (Cider cider = new Cider(small);
              Cider other = new Cider(small)) {
            cider.initialise(blobs.known(features));
            Output output = new Output(blobs.head.apply(features), features);
            double first = cider.loss(output, labels).item_double();
            for (int step = 0; step < 30; step++) {
              List<Tensor> parameters = new ArrayList<>(cider.parameters().values());
              Tensor loss = cider.loss(output, labels);
              List<Tensor> gradients = Gradients.of(loss, parameters, false);
              Scopes.grad(
                  false,
                  () -> {
                    for (int i = 0; i < parameters.size(); i++) {
                      parameters.get(i).sub_(gradients.get(i).mul(new Scalar(0.005)));
                    }
                    return true;
                  });
            }
            assertThat(cider.loss(output, labels).item_double()).isLessThan(first);
            other.restore(cider.state());
            assertThat(other.loss(output, labels).item_double())
                .isEqualTo(cider.loss(output, labels).item_double());
            assertThat(Tensors.doubles(other.prototypes()))
                .containsExactly(Tensors.doubles(cider.prototypes()));
            assertThat(cider.loss(output, labels.sub(new Scalar(9))).item_double()).isZero();
          }
        });
  }

  @Test
  void anAbsentClassAndAMissingStartAreClearErrors() {
    Scopes.run(
        () -> {
          try (Cider cider = new Cider(small)) {
            Tensor features = torch.randn(4, 5);
            Output output = new Output(torch.randn(4, 3), features, Map.of());
            Tensor labels = Tensors.labels(0, 1, 0, 1);
            assertThatThrownBy(() -> cider.loss(output, labels))
                .hasMessageContaining("call initialise");
            assertThatThrownBy(() -> cider.initialise(Outputs.of(output, labels, null)))
                .hasMessageContaining("class 2 has none");
            assertThat(cider.parameters()).isEmpty();
          }
        });
  }
}
