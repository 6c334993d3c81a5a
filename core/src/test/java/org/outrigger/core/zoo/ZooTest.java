package org.outrigger.core.zoo;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

class ZooTest {
  private static final long[] RGB = {3, 32, 32};

  @ParameterizedTest
  @CsvSource({
    // resnet20 with 1x1 shortcuts; 269,722 would be the parameter-free ones.
    "resnet20, 10, 272474",
    "resnet18, 10, 11173962",
    "resnet8, 10, 78042",
    "wrn16-2, 10, 691674",
    "wrn28-10, 10, 36479194",
    "lenet, 10, 62006"
  })
  void parameterCountsAreTheKnownOnes(String name, int classes, long expected) {
    try (Layer root = Zoo.create(name, Map.of(), RGB, classes, 1).root()) {
      assertThat(root.parameterCount()).isEqualTo(expected);
    }
  }

  @Test
  void vitTinyHasTheKnownNumberOfParameters() {
    Map<String, Object> tiny = Map.of("patch", 16, "width", 192, "depth", 12, "heads", 3);
    try (Layer root = Zoo.create("vit", tiny, new long[] {3, 224, 224}, 1000, 1).root()) {
      assertThat(root.parameterCount()).isEqualTo(5_717_416);
    }
  }

  @Test
  void resNetNamesAreTorchvisions() {
    try (Layer root = Zoo.create("resnet8", Map.of(), RGB, 10, 1).root()) {
      assertThat(root.stateDict().keySet())
          .startsWith(
              "conv1.weight",
              "bn1.weight",
              "bn1.bias",
              "bn1.running_mean",
              "bn1.running_var",
              "bn1.num_batches_tracked",
              "layer1.0.conv1.weight",
              "layer1.0.bn1.weight")
          .contains(
              "layer2.0.downsample.0.weight",
              "layer2.0.downsample.1.running_var",
              "layer3.0.conv2.weight")
          .endsWith("fc.weight", "fc.bias");
      assertThat(root.stateDict()).doesNotContainKey("layer1.0.downsample.0.weight");
    }
  }

  @Test
  void wideResNetNamesAreTheUsualOnes() {
    try (Layer root = Zoo.create("wrn16-2", Map.of(), RGB, 10, 1).root()) {
      assertThat(root.parameters().keySet())
          .startsWith(
              "conv1.weight",
              "block1.layer.0.bn1.weight",
              "block1.layer.0.bn1.bias",
              "block1.layer.0.conv1.weight",
              "block1.layer.0.bn2.weight",
              "block1.layer.0.bn2.bias",
              "block1.layer.0.conv2.weight",
              "block1.layer.0.convShortcut.weight",
              "block1.layer.1.bn1.weight")
          .endsWith("bn1.weight", "bn1.bias", "fc.weight", "fc.bias");
    }
  }

  @Test
  void visionTransformerNamesAreTimms() {
    try (Layer root = Zoo.create("vit", Map.of("depth", 1), RGB, 10, 1).root()) {
      assertThat(root.stateDict().keySet())
          .containsExactly(
              "cls_token",
              "pos_embed",
              "patch_embed.proj.weight",
              "patch_embed.proj.bias",
              "blocks.0.norm1.weight",
              "blocks.0.norm1.bias",
              "blocks.0.attn.qkv.weight",
              "blocks.0.attn.qkv.bias",
              "blocks.0.attn.proj.weight",
              "blocks.0.attn.proj.bias",
              "blocks.0.norm2.weight",
              "blocks.0.norm2.bias",
              "blocks.0.mlp.fc1.weight",
              "blocks.0.mlp.fc1.bias",
              "blocks.0.mlp.fc2.weight",
              "blocks.0.mlp.fc2.bias",
              "norm.weight",
              "norm.bias",
              "head.weight",
              "head.bias");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"mlp", "lenet", "resnet8", "resnet20", "resnet18", "wrn16-2", "vit", "clip"})
  void everyImageSizeAndChannelCountRuns(String name) {
    for (long[] shape : List.of(new long[] {1, 28, 28}, new long[] {3, 32, 32})) {
      try (PointerScope scope = new PointerScope();
          NeuralModel model = NeuralModel.create(name, Map.of(), shape, 7, 3);
          Rng rng = new Rng(4);
          var output = model.predict(rng.normal(2, shape[0], shape[1], shape[2]))) {
        assertThat(output.logits().shape()).containsExactly(2, 7);
        assertThat(output.features().size(0)).isEqualTo(2);
        Tensor again = model.head().apply(output.features());
        assertThat(Tensors.floats(again))
            .usingComparatorWithPrecision(1e-4f)
            .containsExactly(Tensors.floats(output.logits()));
      }
    }
  }

  @Test
  void sameSeedSameWeights() {
    try (PointerScope scope = new PointerScope();
        Layer a = Zoo.create("mlp", Map.of(), new long[] {4}, 3, 7).root();
        Layer b = Zoo.create("mlp", Map.of(), new long[] {4}, 3, 7).root();
        Layer c = Zoo.create("mlp", Map.of(), new long[] {4}, 3, 8).root()) {
      float[] first = Tensors.floats(a.parameters().get("fc1.weight"));
      assertThat(Tensors.floats(b.parameters().get("fc1.weight"))).containsExactly(first);
      assertThat(Tensors.floats(c.parameters().get("fc1.weight"))).isNotEqualTo(first);
    }
  }

  @Test
  void checkpointsWithOtherSpellingsLoad() {
    try (PointerScope scope = new PointerScope();
        NeuralModel source = NeuralModel.create("resnet8", Map.of(), RGB, 10, 1);
        NeuralModel target = NeuralModel.create("resnet8", Map.of(), RGB, 10, 2);
        Rng rng = new Rng(3)) {
      Map<String, Tensor> other = new LinkedHashMap<>();
      source
          .root()
          .stateDict()
          .forEach(
              (name, tensor) -> {
                if (!name.endsWith("num_batches_tracked")) {
                  other.put(
                      "module." + name.replace("fc.", "linear.").replace("downsample", "shortcut"),
                      tensor);
                }
              });
      target.loadStateDict(other, true);
      Tensor x = rng.normal(2, 3, 32, 32);
      assertThat(Tensors.floats(target.predict(x).logits()))
          .containsExactly(Tensors.floats(source.predict(x).logits()));
    }
  }

  @Test
  void twoSpellingsOfOneTensorAreAnError() {
    try (PointerScope scope = new PointerScope();
        Layer root = Zoo.create("resnet8", Map.of(), RGB, 10, 1).root()) {
      Map<String, Tensor> state = new LinkedHashMap<>(root.stateDict());
      state.put("linear.bias", root.stateDict().get("fc.bias"));
      assertThatThrownBy(() -> Zoo.canonical(root, state))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("hold 'fc.bias' twice");
    }
  }

  @Test
  void anImpossibleSizeIsAClearError() {
    assertThatThrownBy(
            () -> Zoo.create("mlp", Map.of("hidden", "2000000000"), new long[] {1L << 40}, 2, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageStartingWith("Architecture mlp could not be built");
    assertThatThrownBy(() -> Zoo.create("vit", Map.of("depth", 2_000_000_000), RGB, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("depth");
  }

  @Test
  void listingLoadsNoNativeLibrary() throws Exception {
    Process listing =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Listing.class.getName())
            .redirectErrorStream(true)
            .start();
    String printed = new String(listing.getInputStream().readAllBytes(), UTF_8);
    assertThat(listing.waitFor()).isZero();
    assertThat(printed.strip()).endsWith("\n{} 11");
  }

  /** Run in a JVM of its own: prints what JavaCPP has loaded after the zoo was listed. */
  static final class Listing {
    public static void main(String[] args) {
      Zoo.names().forEach(name -> System.out.println(Zoo.defaults(name)));
      System.out.println(Loader.getLoadedLibraries() + " " + Zoo.names().size());
    }
  }

  @Test
  void unknownNamesSuggestTheNearest() {
    assertThatThrownBy(() -> Zoo.create("resnet19", Map.of(), RGB, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no architecture called 'resnet19'")
        .hasMessageContaining("Did you mean resnet18");
    assertThatThrownBy(() -> Zoo.create("mlp", Map.of("layers", 3), RGB, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no setting 'layers'")
        .hasMessageContaining("hidden");
    assertThatThrownBy(() -> Zoo.create("mlp", Map.of("dropout", "lots"), RGB, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("dropout");
  }

  @Test
  void shapesThatDoNotSuitAnArchitectureAreErrors() {
    assertThatThrownBy(() -> Zoo.create("resnet8", Map.of(), new long[] {5}, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("takes images");
    assertThatThrownBy(() -> Zoo.create("vit", Map.of("patch", 5), RGB, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("patches of 5");
    assertThatThrownBy(() -> Zoo.create("lenet", Map.of(), new long[] {1, 8, 8}, 10, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("12x12");
    assertThatThrownBy(() -> Zoo.create("resnet8", Map.of(), RGB, 0, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("classes");
  }
}
