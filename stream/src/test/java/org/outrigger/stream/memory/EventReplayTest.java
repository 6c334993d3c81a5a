package org.outrigger.stream.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class EventReplayTest {
  /** The model always says 0.5; the key tells the label. */
  private static final Scorer HALF =
      inputs -> new Scorer.Scored(inputs, inputs.select(1, 0).mul(new Scalar(0.0)).add(half()));

  private static Scalar half() {
    return new Scalar(0.5);
  }

  @Test
  void noPredictionUsesALabelOfItsOwnSlotAndDelayedLabelsComeLater() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor labels = rng.uniform(ScalarType.Double, 200).round();
      Tensor inputs =
          rng.normal(ScalarType.Double, 200, 3)
              .mul(new Scalar(0.1))
              .add(labels.mul(new Scalar(2.0)).sub(new Scalar(1.0)).unsqueeze(1));
      for (int delay = 0; delay < 3; delay++) {
        try (ReLoop2 memory =
            new ReLoop2(ReLoop2.Settings.defaults().withSamples(5).withLambda(1))) {
          memory.start(inputs, "1");
          List<Integer> told = new ArrayList<>();
          EventReplay.Report report =
              EventReplay.of(HALF, memory, inputs, labels, 5, delay, null, told::add);
          assertThat(told).containsExactly(1, 2, 3, 4, 5);
          for (int slot = 0; slot < 5; slot++) {
            EventReplay.Figures figures = report.slots().get(slot);
            assertThat(figures.auc()).isEqualTo(0.5);
            assertThat(figures.logLoss()).isCloseTo(Math.log(2), within(1e-12));
            boolean knows = slot > delay;
            assertThat(figures.correctedAuc()).isEqualTo(knows ? 1.0 : 0.5);
            assertThat(figures.filled()).isEqualTo(knows ? 1.0 : 0.0);
          }
          assertThat(report.warm().events()).isEqualTo(160);
        }
      }
    }
  }

  @Test
  void aLearnerSeesEachSlotOnceAndTheMemoryIsFilledAgain() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2);
        ReLoop2 memory = new ReLoop2(ReLoop2.Settings.defaults().withSamples(5).withCapacity(30))) {
      Tensor inputs = rng.normal(ScalarType.Double, 100, 3);
      Tensor labels = rng.uniform(ScalarType.Double, 100).round();
      memory.start(inputs, "1");
      List<Long> rows = new ArrayList<>();
      EventReplay.of(HALF, memory, inputs, labels, 5, 0, (x, y) -> rows.add(x.size(0)), slot -> {});
      assertThat(rows).containsExactly(20L, 20L, 20L, 20L, 20L);
      assertThat(memory.size()).isEqualTo(30);
      assertThat(memory.version()).isEqualTo("1+++++");
    }
  }

  @Test
  void aModelsFeaturesOrAnInnerLayerAreTheKeys() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        NeuralModel model =
            NeuralModel.create(
                "recommender",
                Map.of("rows", "4x5", "hidden", "6", "embedding", 3),
                new long[] {2},
                2,
                1)) {
      Tensor ids = Tensors.of(new float[] {0, 0, 3, 4}, 2, 2);
      Scorer.Scored last = Scorer.of(model, 1).score(ids);
      assertThat(last.keys().shape()).containsExactly(2, 6);
      assertThat(last.base().min().item_double()).isPositive();
      assertThat(last.base().max().item_double()).isLessThan(1);
      assertThat(Scorer.of(model, 1, "embeddings").score(ids).keys().shape()).containsExactly(2, 6);
      assertThatThrownBy(() -> Scorer.of(model, 2)).hasMessageContaining("0 to 1");
      assertThatThrownBy(() -> Scorer.of(model, 1).score(Tensors.of(new float[] {0, 5}, 1, 2)))
          .hasMessageContaining("Column 1 holds 5.0");
    }
  }

  @Test
  void aLogWithOtherLabelsIsRefused() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3);
        ReLoop2 memory = new ReLoop2(ReLoop2.Settings.defaults().withSamples(5))) {
      Tensor inputs = rng.normal(ScalarType.Double, 4, 3);
      memory.start(inputs, "1");
      assertThatThrownBy(
              () ->
                  EventReplay.of(
                      HALF, memory, inputs, Tensors.labels(0, 1, 2, 1), 2, 0, null, s -> {}))
          .hasMessageContaining("labels 0 and 1");
      assertThatThrownBy(
              () ->
                  EventReplay.of(
                      HALF, memory, inputs, Tensors.labels(0, 1, 0, 1), 5, 0, null, s -> {}))
          .hasMessageContaining("slots = 5");
    }
  }
}
