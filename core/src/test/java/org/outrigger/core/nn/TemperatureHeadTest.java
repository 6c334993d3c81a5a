package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.HashMap;
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
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** The last layer with a learned temperature. */
class TemperatureHeadTest {
  private static final int D = 5;
  private static final int C = 3;

  /** A head in float64 whose batch norm is not as fresh. */
  private static TemperatureHead head(Rng rng) {
    TemperatureHead head = new TemperatureHead(D, C, rng);
    head.to(ScalarType.Double);
    head.loadStateDict(
        Map.of(
            "temperature.norm.weight", Tensors.of(new double[] {1.3}, 1),
            "temperature.norm.bias", Tensors.of(new double[] {-0.4}, 1),
            "temperature.norm.running_mean", Tensors.of(new double[] {0.2}, 1),
            "temperature.norm.running_var", Tensors.of(new double[] {0.6}, 1)),
        false);
    head.eval();
    return head;
  }

  @Test
  void tensorsHaveNamesThatSayWhatTheyAre() {
    try (Rng rng = new Rng(1);
        TemperatureHead rows = new TemperatureHead(D, C, rng);
        TemperatureHead maps = TemperatureHead.ofMaps(D, C, rng)) {
      assertThat(rows.stateDict())
          .containsOnlyKeys(
              "cosine.weight",
              "temperature.linear.weight",
              "temperature.linear.bias",
              "temperature.norm.weight",
              "temperature.norm.bias",
              "temperature.norm.running_mean",
              "temperature.norm.running_var",
              "temperature.norm.num_batches_tracked");
      assertThat(rows.cosine().tensor("weight").shape()).containsExactly(C, D);
      assertThat(maps.stateDict())
          .containsKey("temperature.conv.weight")
          .doesNotContainKey("temperature.conv.bias");
      assertThat(maps.cosine().tensor("weight").shape()).containsExactly(C, D, 1, 1);
      assertThat(rows.toString()).isEqualTo("TemperatureHead(5 -> 3)");
    }
  }

  @Property(tries = 20)
  void thePredictionDoesNotDependOnTheTemperature(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed);
              TemperatureHead head = head(rng)) {
            Tensor x = rng.normal(ScalarType.Double, 8, D);
            Tensor cosines = head.cosine().forward(x);
            assertThat(Tensors.longs(classes(head.forward(x))))
                .containsExactly(Tensors.longs(classes(cosines)));
            assertThat(cosines.abs().max().item_double()).isLessThan(1);
            Tensor t = head.temperature().forward(x);
            assertThat(t.min().item_double()).isGreaterThan(0);
            assertThat(t.max().item_double()).isLessThan(1);
            assertThat(t.shape()).containsExactly(8, 1);
          }
        });
  }

  private static Tensor classes(Tensor logits) {
    return logits.argmax(new org.bytedeco.pytorch.LongOptional(1), false);
  }

  @Property(tries = 20)
  void aRowOfEvaluationModeDoesNotDependOnItsBatch(
      @ForAll long seed, @ForAll @IntRange(min = 0, max = 6) int row) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed);
              TemperatureHead head = head(rng)) {
            Tensor x = rng.normal(ScalarType.Double, 7, D);
            double[] together = Tensors.doubles(head.forward(x).select(0, row));
            double[] alone = Tensors.doubles(head.forward(x.narrow(0, row, 1)));
            assertThat(alone).containsExactly(together, within(1e-12));
          }
        });
  }

  @Property(tries = 10)
  void aPixelIsARow(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed);
              TemperatureHead rows = head(rng);
              TemperatureHead maps = TemperatureHead.ofMaps(D, C, rng)) {
            maps.to(ScalarType.Double);
            // Without a bias, as the form for maps has none.
            rows.stateDict().get("temperature.linear.bias").detach().zero_();
            Map<String, Tensor> state = new HashMap<>(rows.stateDict());
            state.put("cosine.weight", state.get("cosine.weight").view(C, D, 1, 1));
            state.put(
                "temperature.conv.weight", state.get("temperature.linear.weight").view(1, D, 1, 1));
            maps.loadStateDict(state, false);
            Tensor x = rng.normal(ScalarType.Double, 2, D, 3, 4);
            for (boolean training : new boolean[] {false, true}) {
              rows.train(training);
              maps.train(training);
              Tensor flat = x.permute(0, 2, 3, 1).reshape(-1, D);
              Tensor expected = rows.forward(flat).view(2, 3, 4, C).permute(0, 3, 1, 2);
              assertThat(maps.forward(x).sub(expected).abs().max().item_double()).isLessThan(1e-9);
            }
          }
        });
  }

  @Test
  void gradientsAreThoseOfFiniteDifferences() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3);
              TemperatureHead head = head(rng)) {
            head.train();
            Tensor x = rng.normal(ScalarType.Double, 4, D).requires_grad_(true);
            Tensor labels = Tensors.labels(0, 2, 1, 1);
            List<String> names = new ArrayList<>(head.parameters().keySet());
            List<Tensor> sources = new ArrayList<>(List.of(x));
            names.forEach(name -> sources.add(head.parameters().get(name)));
            List<Tensor> gradients = Gradients.of(loss(head, x, labels), sources, false);
            for (int i = 0; i < sources.size(); i++) {
              Tensor flat = sources.get(i).detach().view(-1);
              double[] exact = Tensors.doubles(gradients.get(i));
              for (int k = 0; k < exact.length; k++) {
                double at = flat.select(0, k).item_double();
                double step = 1e-5;
                flat.select(0, k).fill_(new Scalar(at + step));
                double up = loss(head, x, labels).item_double();
                flat.select(0, k).fill_(new Scalar(at - step));
                double down = loss(head, x, labels).item_double();
                flat.select(0, k).fill_(new Scalar(at));
                assertThat(exact[k]).isCloseTo((up - down) / (2 * step), within(1e-6));
              }
            }
          }
        });
  }

  private static Tensor loss(Layer head, Tensor x, Tensor labels) {
    return torch.cross_entropy_loss(head.forward(x), labels);
  }

  @Test
  void aFeatureOfLengthZeroHasCosineZeroAndFiniteGradients() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(4);
              TemperatureHead head = new TemperatureHead(D, C, rng)) {
            Tensor x = rng.normal(3, D);
            x.select(0, 1).zero_();
            x.requires_grad_(true);
            Tensor logits = head.forward(x);
            assertThat(Tensors.doubles(logits.select(0, 1))).containsOnly(0);
            assertThat(logits.scalar_type().intern()).isEqualTo(ScalarType.Float);
            List<Tensor> sources = new ArrayList<>(List.of(x));
            sources.addAll(head.parameters().values());
            Tensor loss = torch.cross_entropy_loss(logits, Tensors.labels(0, 1, 2));
            for (Tensor gradient : Gradients.of(loss, sources, false)) {
              assertThat(gradient.isfinite().all().item_bool()).isTrue();
            }
          }
        });
  }

  @Test
  void tinyTemperaturesGiveFiniteLogits() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(5);
              TemperatureHead head = new TemperatureHead(D, C, rng)) {
            head.eval();
            head.stateDict().get("temperature.norm.bias").detach().fill_(new Scalar(-1000.0));
            Tensor logits = head.forward(rng.normal(4, D));
            assertThat(logits.abs().max().item_double()).isGreaterThan(1e9);
            assertThat(logits.logsumexp(1).isfinite().all().item_bool()).isTrue();
          }
        });
  }

  @Test
  void aSingleRowCannotBeTrainedOnAndSaysSo() {
    try (Rng rng = new Rng(6);
        TemperatureHead rows = new TemperatureHead(D, C, rng);
        TemperatureHead maps = TemperatureHead.ofMaps(D, C, rng)) {
      assertThatThrownBy(() -> rows.forward(rng.normal(1, D)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("single row")
          .hasMessageContaining("2 rows or more");
      assertThatThrownBy(() -> maps.forward(rng.normal(1, D, 1, 1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("2 rows or more");
      Scopes.run(
          () -> {
            assertThat(maps.forward(rng.normal(1, D, 1, 2)).shape()).containsExactly(1, C, 1, 2);
            rows.eval();
            assertThat(rows.forward(rng.normal(1, D)).shape()).containsExactly(1, C);
          });
    }
  }

  @Test
  void anotherShapeIsNamed() {
    try (Rng rng = new Rng(7);
        TemperatureHead head = new TemperatureHead(D, C, rng)) {
      assertThatThrownBy(() -> head.forward(rng.normal(4, D + 1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("TemperatureHead(5 -> 3)")
          .hasMessageContaining("[4, 6]");
      assertThatThrownBy(() -> head.forward(rng.normal(4, D, 1, 1)))
          .isInstanceOf(OutriggerException.class);
    }
  }
}
