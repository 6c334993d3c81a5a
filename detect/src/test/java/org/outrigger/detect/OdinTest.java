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
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class OdinTest {
  private static NeuralModel model() {
    return NeuralModel.create("lenet", Map.of(), new long[] {1, 28, 28}, 4, 3);
  }

  @Property(tries = 5)
  void aRowsScoreDoesNotDependOnItsBatch(@ForAll @IntRange(min = 0, max = 5) int row) {
    Scopes.run(
        () -> {
          try (NeuralModel model = model();
              Rng rng = new Rng(row)) {
            Tensor inputs = rng.normal(6, 1, 28, 28);
            Odin odin = new Odin(new Odin.Settings(1000, 0.05, List.of(0.5)));
            double[] all = Tensors.doubles(odin.score(model, inputs, model.predict(inputs)));
            Tensor one = inputs.narrow(0, row, 1);
            double[] alone = Tensors.doubles(odin.score(model, one, model.predict(one)));
            assertThat(alone[0]).isCloseTo(all[row], within(1e-8));
          }
        });
  }

  @Test
  void theStepRaisesTheConfidenceAndLeavesTheModelAsItWas() {
    Scopes.run(
        () -> {
          try (NeuralModel model = model();
              Rng rng = new Rng(1)) {
            Tensor inputs = rng.normal(8, 1, 28, 28);
            Odin still = new Odin(new Odin.Settings(10, 0, List.of()));
            Odin moved = new Odin(new Odin.Settings(10, 0.01, List.of()));
            double[] before = Tensors.doubles(still.score(model, inputs, model.predict(inputs)));
            double[] after = Tensors.doubles(moved.score(model, inputs, model.predict(inputs)));
            for (int i = 0; i < before.length; i++) {
              assertThat(after[i]).isLessThan(before[i]);
            }
            model
                .parameters()
                .values()
                .forEach(parameter -> assertThat(parameter.grad().defined()).isFalse());
          }
        });
  }

  @Test
  void aZeroGradientCountsAsPositiveAndStepsAreDividedByTheChannelsDeviation() {
    Scopes.run(
        () -> {
          Tensor inputs = Tensors.of(new double[] {1, 1, 1, 1}, 1, 2, 1, 2);
          Tensor gradient = Tensors.of(new double[] {0, -2, 3, -0.1}, 1, 2, 1, 2);
          Tensor moved = Odin.perturb(inputs, gradient, 0.1, List.of(1.0, 0.5));
          assertThat(Tensors.doubles(moved)).containsExactly(0.9, 1.1, 0.8, 1.2);
          assertThatThrownBy(() -> Odin.perturb(inputs, gradient, 0.1, List.of(1.0)))
              .isInstanceOf(OutriggerException.class)
              .hasMessageContaining("one value for each channel");
        });
  }

  @Test
  void cachedOutputsAndBadInputsAreClearErrors() {
    Scopes.run(
        () -> {
          try (NeuralModel model = model()) {
            Odin odin = new Odin();
            Tensor inputs = torch.zeros(new long[] {1, 1, 28, 28});
            assertThatThrownBy(() -> odin.score(model.predict(inputs)))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("score with the model");
            Tensor bad = torch.full(new long[] {1, 1, 28, 28}, new Scalar(Double.NaN));
            assertThatThrownBy(() -> odin.score(model, bad, model.predict(bad)))
                .hasMessageContaining("NaN");
          }
        });
    assertThatThrownBy(() -> new Odin.Settings(0, 0.1, List.of()))
        .hasMessageContaining("temperature");
    assertThatThrownBy(() -> new Odin.Settings(1, 0.1, List.of(0.0)))
        .hasMessageContaining("inputStd");
  }

  @Test
  void settingsComeBackFromASavedState() {
    Odin saved = new Odin(new Odin.Settings(7, 0.2, List.of(0.1, 0.3)));
    Odin restored = new Odin();
    restored.restore(saved.state());
    assertThat(restored.settings()).isEqualTo(saved.settings());
  }
}
