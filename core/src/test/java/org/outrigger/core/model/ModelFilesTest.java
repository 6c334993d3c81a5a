package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.torch.Tensors;

class ModelFilesTest {
  private static final Path TRACED = Path.of("src/test/resources/torchscript/traced.pt");

  @TempDir Path folder;

  @Test
  void theFormatIsChosenByContent() throws IOException {
    Path renamed = Files.copy(TRACED, folder.resolve("model"));
    try (Model model = ModelFiles.open(renamed)) {
      assertThat(model).isInstanceOf(TorchScriptModel.class);
    }
    Path saved = folder.resolve("network");
    try (PointerScope scope = new PointerScope();
        NeuralModel network =
            NeuralModel.create("mlp", Map.of("hidden", "8"), new long[] {3}, 2, 1)) {
      network.save(saved);
      try (Model model = ModelFiles.open(saved)) {
        Tensor rows = torch.randn(4, 3);
        assertThat(Tensors.floats(model.predict(rows).logits()))
            .containsExactly(Tensors.floats(network.predict(rows).logits()));
      }
    }
  }

  @Test
  void bareWeightsOpenWithTheirArchitecture() {
    Path weights = folder.resolve("weights.safetensors");
    try (PointerScope scope = new PointerScope();
        NeuralModel network =
            NeuralModel.create("resnet8", Map.of("width", "4"), new long[] {3, 8, 8}, 5, 1)) {
      Safetensors.write(weights, network.root().stateDict(), Map.of());
      assertThatThrownBy(() -> ModelFiles.open(weights))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("resnet8");
      var options = ModelFiles.Options.defaults();
      assertThatThrownBy(
              () ->
                  ModelFiles.open(
                      weights,
                      options.withArchitecture("resnet8", Map.of("width", "4"), new long[0], 0)))
          .hasMessageContaining("input shape");
      var whole =
          options.withArchitecture("resnet8", Map.of("width", "4"), new long[] {3, 8, 8}, 0);
      try (Model model = ModelFiles.open(weights, whole)) {
        Tensor images = torch.randn(2, 3, 8, 8);
        assertThat(model.classes()).isEqualTo(5);
        assertThat(Tensors.floats(model.predict(images).logits()))
            .containsExactly(Tensors.floats(network.predict(images).logits()));
      }
    }
  }

  @Test
  void whatIsNoModelIsNamed() throws IOException {
    assertThatThrownBy(() -> ModelFiles.open(folder.resolve("absent.pt")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("absent.pt");
    assertThatThrownBy(() -> ModelFiles.open(folder)).hasMessageContaining("folder");
    Path text = Files.writeString(folder.resolve("notes.txt"), "a few words about the model");
    assertThatThrownBy(() -> ModelFiles.open(text))
        .hasMessageContaining("TorchScript (.pt)")
        .hasMessageContaining("safetensors");
    Path empty = Files.createFile(folder.resolve("empty.bin2"));
    assertThatThrownBy(() -> ModelFiles.open(empty)).hasMessageContaining("empty");
    Path onnx = Files.write(folder.resolve("m.onnx"), new byte[] {8, 7, 18, 0});
    assertThatThrownBy(() -> ModelFiles.open(onnx)).hasMessageContaining("outrigger-onnx");
  }
}
