package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.method.Need;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Networks with a layer in the place of one of their architecture's. */
class ReplacedLayersTest {
  private PointerScope scope;
  private Rng rng;
  private NeuralModel model;
  private Tensor x;
  private Layer linear;

  @TempDir Path folder;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(8);
    model = NeuralModel.create("resnet8", Map.of("width", 4), new long[] {1, 12, 12}, 3, 1);
    x = rng.normal(4, 1, 12, 12);
    linear = model.root().replace(model.headPath(), new TemperatureHead(16, 3, rng));
  }

  @AfterEach
  void close() {
    model.close();
    linear.close();
    rng.close();
    scope.close();
  }

  private static float[] logits(NeuralModel model, Tensor inputs) {
    return Tensors.floats(model.predict(inputs).logits());
  }

  @Test
  void aFileBringsTheReplacedHeadBack() {
    Path file = folder.resolve("m.safetensors");
    model.train(true);
    model.forward(x);
    model.root().freeze("conv1");
    model.save(file);
    try (Model opened = ModelFiles.open(file)) {
      NeuralModel loaded = (NeuralModel) opened;
      assertThat(loaded.lastLayer()).isInstanceOf(TemperatureHead.class);
      assertThat(logits(loaded, x)).containsExactly(logits(model, x));
      assertThat(loaded.root().stateDict().keySet()).isEqualTo(model.root().stateDict().keySet());
      assertThat(loaded.root().trainable()).doesNotContainKey("conv1.weight");
      assertThat(loaded.architecture()).isEqualTo(model.architecture());
      Path again = folder.resolve("again.safetensors");
      loaded.save(again);
      try (NeuralModel third = NeuralModel.load(again)) {
        assertThat(logits(third, x)).containsExactly(logits(model, x));
      }
    }
  }

  @Test
  void theTypeOfTheWeightsComesBackToo() {
    Path file = folder.resolve("m.safetensors");
    model.root().to(ScalarType.Double);
    model.save(file);
    try (NeuralModel loaded = NeuralModel.load(file)) {
      assertThat(loaded.parameters().get("fc.cosine.weight").scalar_type().intern())
          .isEqualTo(ScalarType.Double);
    }
  }

  @Test
  void theHeadIsPutBack() {
    Path file = folder.resolve("m.safetensors");
    model.root().replace(model.headPath(), linear).close();
    linear = new TemperatureHead(1, 1, rng);
    assertThat(model.offers()).contains(Need.LINEAR_HEAD);
    model.save(file);
    try (NeuralModel loaded = NeuralModel.load(file)) {
      assertThat(loaded.lastLayer()).isInstanceOf(Linear.class);
      assertThat(logits(loaded, x)).containsExactly(logits(model, x));
    }
  }

  @Test
  void aModelSaysWhatItsLastLayerIs() {
    assertThat(model.offers()).contains(Need.LEARNED_TEMPERATURE).doesNotContain(Need.LINEAR_HEAD);
    assertThat(model.as(Capabilities.HasLinearHead.class)).isEmpty();
    assertThat(model.predict(x).features().shape()).containsExactly(4, 16);
    assertThat(model.featurePoints()).contains("fc.cosine", "fc.temperature");
    Output output = model.predict(x, List.of("fc.temperature"));
    assertThat(output.maps().get("fc.temperature").shape()).containsExactly(4, 1);
    try (TensorDataset data = TensorDataset.of(x, Tensors.labels(0, 1, 2, 0));
        RecordedOutputs outputs =
            RecordedOutputs.record(model, data, RecordedOutputs.Options.defaults());
        RecordedOutputs some = outputs.subset(new int[] {1, 3})) {
      assertThat(outputs.head()).isNull();
      assertThat(some.heads().last()).isSameAs(model.lastLayer());
    }
    try (NeuralModel copy = model.deepCopy()) {
      assertThat(logits(copy, x)).containsExactly(logits(model, x));
      assertThat(copy.architecture()).isEqualTo(model.architecture());
    }
  }

  @Test
  void aHeadOfAnotherSizeIsNotSaved() {
    Path file = folder.resolve("m.safetensors");
    model.root().replace(model.headPath(), new TemperatureHead(16, 5, rng)).close();
    assertThatThrownBy(() -> model.save(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("replaced");
    assertThat(file).doesNotExist();
  }

  @Test
  void whatCannotBeBuiltIsNamed() {
    Map<String, Object> head = Map.of("path", "fc", "kind", "other", "settings", Map.of());
    refused(List.of(head), "'other'", "class path");
    refused(List.of(Map.of("path", "fc", "settings", Map.of())), "damaged");
    Map<String, Object> nowhere =
        Map.of("path", "nowhere", "kind", "temperature-head", "settings", Map.of());
    refused(List.of(nowhere), "no layer 'nowhere'");
    Map<String, Object> convolution =
        Map.of("path", "conv1", "kind", "temperature-head", "settings", Map.of());
    refused(List.of(convolution), "linear layer", "damaged");
  }

  private void refused(List<?> replaced, String... words) {
    Path file = folder.resolve("m.safetensors");
    Map<String, Object> architecture = model.architecture();
    architecture.put("replaced", replaced);
    Safetensors.write(
        file,
        model.root().stateDict(),
        Map.of("architecture", Json.compact(architecture), "version", "1"));
    assertThatThrownBy(() -> NeuralModel.load(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContainingAll(words);
  }
}
