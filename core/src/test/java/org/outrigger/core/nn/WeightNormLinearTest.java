package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Weight-normalised layers and the SHOT layout, alone and in models. */
class WeightNormLinearTest {
  private PointerScope scope;
  private Rng rng;

  @TempDir Path folder;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(3);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  private NeuralModel model() {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(8)), new long[] {5}, 3, 1);
  }

  private static float[] logits(NeuralModel model, Tensor x) {
    return Tensors.floats(model.predict(x).logits());
  }

  @Test
  void rowsHaveTheirLengthAndTheDirectionOfTheOtherMatrix() {
    Tensor g = Tensors.of(new double[] {2, 3}, 2, 1);
    Tensor v = Tensors.of(new double[][] {{3, 4}, {0, -5}});
    assertThat(Tensors.doubles(WeightNormLinear.matrix(g, v)))
        .containsExactly(new double[] {1.2, 1.6, 0, -3}, within(1e-12));
    assertThat(Tensors.doubles(WeightNormLinear.matrix(g, v.mul(new Scalar(7.0)))))
        .containsExactly(new double[] {1.2, 1.6, 0, -3}, within(1e-12));
  }

  @Test
  void itComputesWhatALinearLayerWithItsMatrixDoes() {
    try (WeightNormLinear layer = new WeightNormLinear(4, 3, rng);
        Linear plain = new Linear(4, 3, rng)) {
      plain.loadStateDict(Map.of("weight", layer.matrix(), "bias", layer.tensor("bias")), true);
      Tensor x = rng.normal(6, 4);
      assertThat(Tensors.floats(layer.forward(x)))
          .containsExactly(Tensors.floats(plain.forward(x)), within(1e-6f));
      assertThat(layer.stateDict().keySet()).containsExactly("bias", "weight_g", "weight_v");
    }
  }

  @Test
  void aRowWithoutADirectionIsFound() {
    try (WeightNormLinear layer = new WeightNormLinear(4, 3, rng)) {
      layer.requireDirections();
      layer.tensor("weight_v").detach().select(0, 1).zero_();
      assertThatThrownBy(layer::requireDirections)
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("1 of 3 rows of weight_v");
    }
  }

  @Test
  void aModelWithSuchAHeadHasALinearHeadAndComesBackFromAFile() {
    Path file = folder.resolve("m.safetensors");
    Tensor x = rng.normal(6, 5);
    try (NeuralModel model = model()) {
      model.root().replace("head", new WeightNormLinear(8, 3, rng)).close();
      assertThat(model.offers()).contains(Need.LINEAR_HEAD);
      Output output = model.predict(x);
      assertThat(Tensors.floats(model.head().apply(output.features())))
          .containsExactly(Tensors.floats(output.logits()), within(1e-5f));
      model.save(file);
      try (NeuralModel loaded = NeuralModel.load(file)) {
        assertThat(loaded.lastLayer()).isInstanceOf(WeightNormLinear.class);
        assertThat(logits(loaded, x)).containsExactly(logits(model, x));
      }
    }
  }

  @Test
  void theShotLayoutHasTheBottleneckAsFeaturesAndComesBackFromAFile() {
    Path file = folder.resolve("m.safetensors");
    Tensor x = rng.normal(6, 5);
    try (NeuralModel model = model()) {
      model.root().replace("head", new BottleneckHead(8, 4, 3, rng)).close();
      assertThat(model.headPath()).isEqualTo("head.fc");
      assertThat(model.predict(x).features().shape()).containsExactly(6, 4);
      model.train(true);
      model.forward(x);
      model.save(file);
      try (NeuralModel loaded = NeuralModel.load(file);
          NeuralModel copy = loaded.deepCopy()) {
        assertThat(loaded.headPath()).isEqualTo("head.fc");
        assertThat(loaded.root().stateDict().keySet()).isEqualTo(model.root().stateDict().keySet());
        assertThat(logits(loaded, x)).containsExactly(logits(model, x));
        assertThat(logits(copy, x)).containsExactly(logits(model, x));
      }
    }
  }

  @Test
  void aDamagedFileIsRefused() {
    try (NeuralModel model = model()) {
      assertThatThrownBy(
              () -> new BottleneckHead.Kind().build(model.root().get("fc1"), Map.of("width", "x")))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("damaged");
      assertThatThrownBy(
              () -> new WeightNormLinear.Kind().build(model.root().get("act1"), Map.of()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("damaged");
    }
  }
}
