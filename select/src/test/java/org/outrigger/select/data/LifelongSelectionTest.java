package org.outrigger.select.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.datasets.Digits;

class LifelongSelectionTest {
  @TempDir Path folder;

  private static NeuralModel model() {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(12, 8)), new long[] {64}, 10, 0);
  }

  private static LifelongSelection run(Map<String, ?> changes) {
    Map<String, Object> all =
        new java.util.LinkedHashMap<>(Map.of("clusters", 4, "projection", 32, "seed", 3));
    all.putAll(changes);
    return new LifelongSelection(Methods.create(AdaptInfinity.class, "adapt-infinity", all));
  }

  @Test
  void theOuterProductIsTheGradientAndForwardPassesEstimateIt() {
    try (PointerScope scope = new PointerScope();
        NeuralModel model = model();
        TensorDataset digits = Digits.all()) {
      var batch = digits.read(new int[] {0, 1, 2, 3, 4});
      Tensor quick = GradientVectors.of(model, "fc2", batch.inputs(), batch.labels());
      Tensor full = GradientVectors.bySample(model, "fc2", batch.inputs(), batch.labels());
      assertThat(quick.sub(full).abs().amax().item_double()).isLessThan(1e-6);
      RademacherProjection projection = new RademacherProjection(16, 0);
      Tensor estimate =
          GradientVectors.zeroOrder(model, "fc2", batch.inputs(), batch.labels(), projection, 1e-3);
      assertThat(estimate.sub(projection.project(full)).abs().amax().item_double())
          .isLessThan(5e-3);
    }
  }

  @Test
  void aSavedRunGoesOnExactlyAndKeepsWhatWasDroppedAndWhy() {
    try (PointerScope scope = new PointerScope();
        NeuralModel model = model();
        TensorDataset digits = Digits.all()) {
      IndexedDataset first = digits.limit(120);
      IndexedDataset second = digits.shuffled(1).limit(90);
      LifelongSelection one = run(Map.of());
      one.step(model, "first", first, 40, 100);
      Path file = folder.resolve("pool.safetensors");
      StateFiles.write(file, one.state());
      LifelongSelection two = run(Map.of());
      two.restore(StateFiles.read(file));
      assertThatThrownBy(() -> two.step(model, "second", second, 40, 100))
          .hasMessageContaining("reconnect");
      two.reconnect("first", first);
      LifelongSelection.Step a = one.step(model, "second", second, 40, 100);
      LifelongSelection.Step b = two.step(model, "second", second, 40, 100);
      assertThat(b.train()).containsExactly(a.train()).hasSize(40);
      assertThat(b.keep()).containsExactly(a.keep()).hasSize(100);
      assertThat(two.pool().dropped()).isEqualTo(one.pool().dropped()).hasSize(110);
      assertThat(a.training().size()).isEqualTo(40);
      assertThat(one.history()).hasSize(2);
      assertThatThrownBy(() -> run(Map.of("clusters", 5)).restore(one.state()))
          .hasMessageContaining("clusters");
    }
  }

  @Test
  void aFailedStepChangesNothing() {
    try (PointerScope scope = new PointerScope();
        NeuralModel model = model();
        TensorDataset digits = Digits.all()) {
      LifelongSelection run = run(Map.of("lite", true));
      run.step(model, "first", digits.limit(60), 20, 50);
      int[] before = run.pool().rows();
      assertThatThrownBy(() -> run.step(model, "first", digits.limit(60), 20, 50))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("already");
      assertThatThrownBy(() -> run.step(model, "other", digits.asUnknown(), 20, 50))
          .hasMessageContaining("without a label");
      assertThatThrownBy(() -> run.step(model, "other", digits.limit(60), 0, 50))
          .hasMessageContaining("M = 0");
      assertThat(run.pool().rows()).containsExactly(before);
      assertThat(run.steps()).isEqualTo(1);
    }
  }

  @Test
  void aRemovableFieldThatHelpsIsSeen() {
    try (PointerScope scope = new PointerScope();
        NeuralModel model = model();
        TensorDataset digits = Digits.all()) {
      LifelongSelection run = run(Map.of("contextWidth", 32, "sign", true, "budget", "DENSITY"));
      LifelongSelection.Step step = run.step(model, "digits", digits.limit(80), 30, 80);
      assertThat(step.report().clusters())
          .anySatisfy(c -> assertThat(c.entropies().get("grounding")).isPositive());
      assertThatThrownBy(
              () -> run(Map.of("contextWidth", 65)).step(model, "d", digits.limit(80), 30, 80))
          .hasMessageContaining("does not fit rows of 64");
    }
  }

  @Test
  void stepsDoNotGrowNativeMemory() {
    try (NeuralModel model = model();
        TensorDataset digits = Digits.all()) {
      IndexedDataset rows = digits.limit(80);
      for (int i = 0; i < 10; i++) {
        run(Map.of()).step(model, "digits", rows, 30, 60);
      }
      double before = ResidentMemory.megabytes();
      for (int i = 0; i < 30; i++) {
        run(Map.of()).step(model, "digits", rows, 30, 60);
      }
      assertThat(ResidentMemory.megabytes() - before).isLessThan(24);
    }
  }
}
