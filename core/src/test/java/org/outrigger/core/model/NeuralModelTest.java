package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.method.Need;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Identity;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class NeuralModelTest {
  private static final long[] IMAGE = {1, 12, 12};

  private PointerScope scope;
  private Rng rng;
  private NeuralModel model;
  private Tensor x;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(8);
    model = NeuralModel.create("resnet8", Map.of("width", 4), IMAGE, 3, 1);
    x = rng.normal(4, 1, 12, 12);
  }

  @AfterEach
  void close() {
    model.close();
    rng.close();
    scope.close();
  }

  private static float[] logits(NeuralModel model, Tensor inputs) {
    try (Output output = model.predict(inputs)) {
      return Tensors.floats(output.logits());
    }
  }

  @Test
  void featuresAreTheHeadsInput() {
    try (Output output = model.predict(x)) {
      assertThat(output.features().shape()).containsExactly(4, 16);
      Tensor again = model.head().apply(output.features());
      assertThat(again.sub(output.logits()).abs().max().item_float()).isLessThan(1e-5f);
      assertThat(output.logits().requires_grad()).isFalse();
    }
  }

  @Test
  void predictingIsInEvaluationModeWhateverTheModeAndChangesNothing() {
    float[] quiet = logits(model, x);
    model.train(true);
    assertThat(logits(model, x)).containsExactly(quiet);
    assertThat(model.root().training()).isTrue();
    assertThat(model.buffers().get("bn1.num_batches_tracked").item_long()).isZero();
    model.forward(x);
    assertThat(model.buffers().get("bn1.num_batches_tracked").item_long()).isEqualTo(1);
  }

  @Test
  void mapsComeInLayerOrder() {
    assertThat(model.featurePoints()).contains("layer1.0.conv1", "layer3", "fc");
    try (Output output = model.predict(x, List.of("layer3", "layer1"))) {
      assertThat(output.maps().keySet()).containsExactly("layer1", "layer3");
      assertThat(output.maps().get("layer1").shape()).containsExactly(4, 4, 12, 12);
      assertThat(output.maps().get("layer3").shape()).containsExactly(4, 16, 3, 3);
    }
    assertThatThrownBy(() -> model.predict(x, List.of("layer9")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no layer 'layer9'");
  }

  @Test
  void gradientsReachInputsAndParameters() {
    model.train(false);
    Tensor input = x.clone().requires_grad_(true);
    Output output = model.forward(input);
    Tensor loss = output.logits().mul(output.logits()).sum();
    List<Tensor> gradients =
        Gradients.of(loss, List.of(input, model.parameters().get("conv1.weight")), false);
    assertThat(gradients.get(0).abs().sum().item_float()).isPositive();
    assertThat(gradients.get(1).abs().sum().item_float()).isPositive();
  }

  @Test
  void otherWeightsForOneCallLeaveTheModelUntouched() {
    model.train(false);
    float[] before = logits(model, x);
    Map<String, Tensor> other = new LinkedHashMap<>();
    model.parameters().forEach((name, p) -> other.put(name, p.detach().mul(new Scalar(0.5))));
    float[] substituted = Tensors.floats(model.forward(x, other).logits());
    float[] evaluated =
        Tensors.floats(
            model
                .forward(x, ForwardContext.EVALUATION.weights(model.root(), other), List.of("fc"))
                .maps()
                .get("fc"));
    assertThat(logits(model, x)).containsExactly(before);
    model.loadStateDict(other, false);
    assertThat(logits(model, x)).containsExactly(substituted).containsExactly(evaluated);
  }

  @Test
  void wrongInputsAreExplained() {
    assertThatThrownBy(() -> model.predict(rng.normal(2, 3, 12, 12)))
        .isInstanceOf(OutriggerException.class)
        .hasMessage(
            "The model resnet8 takes inputs of shape [N, 1, 12, 12], but this batch has shape [2, 3,"
                + " 12, 12]: it has 3 channels instead of 1.");
    assertThatThrownBy(() -> model.predict(rng.normal(0, 1, 12, 12)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("empty");
    try (NeuralModel rows = NeuralModel.create("mlp", Map.of(), new long[] {5}, 2, 1)) {
      assertThatThrownBy(() -> rows.predict(rng.normal(2, 4)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("rows have 4 values instead of 5");
    }
  }

  @Test
  void concurrentPassesWithOwnAndOtherWeightsDoNotMeet() throws Exception {
    model.train(true);
    Map<String, Tensor> other = new LinkedHashMap<>();
    model.parameters().forEach((name, p) -> other.put(name, p.detach().mul(new Scalar(0.5))));
    float[] own = logits(model, x);
    float[] halved = logitsWith(other);
    assertThat(halved).isNotEqualTo(own);
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      List<Callable<Boolean>> threads = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        boolean substitute = i % 2 == 1;
        threads.add(
            () -> {
              for (int pass = 0; pass < 25; pass++) {
                float[] seen = substitute ? logitsWith(other) : logits(model, x);
                if (!Arrays.equals(seen, substitute ? halved : own)) {
                  return false;
                }
              }
              return true;
            });
      }
      for (Future<Boolean> equal : pool.invokeAll(threads)) {
        assertThat(equal.get()).isTrue();
      }
    } finally {
      pool.shutdownNow();
    }
  }

  private float[] logitsWith(Map<String, Tensor> weights) {
    return Scopes.scoped(
        () ->
            Tensors.floats(
                model
                    .forward(x, ForwardContext.EVALUATION.weights(model.root(), weights), List.of())
                    .logits()));
  }

  @Test
  void memoryStaysFlatOverManyPasses() {
    Tensor batch = rng.normal(32, 1, 12, 12);
    passes(batch, 30);
    long before = Pointer.physicalBytes();
    passes(batch, 120);
    // The values of one pass take about a megabyte, and each turn makes two passes.
    assertThat(Pointer.physicalBytes() - before).isLessThan(48L << 20);
  }

  private void passes(Tensor batch, int count) {
    for (int i = 0; i < count; i++) {
      model.predict(batch, List.of("layer1")).close();
      Scopes.run(
          () -> {
            Tensor w = model.parameters().get("fc.weight");
            Gradients.of(model.forward(batch).logits().sum(), w);
          });
    }
  }

  @Test
  void offersFollowTheLayers() {
    assertThat(model.offers()).contains(Need.LINEAR_HEAD, Need.NORM_LAYERS, Need.FEATURES);
    assertThat(model.normLayers())
        .extracting(Capabilities.NormLayer::name)
        .startsWith("bn1", "layer1.0.bn1")
        .contains("layer2.0.downsample.1");
    try (NeuralModel mlp = NeuralModel.create("mlp", Map.of(), new long[] {5}, 2, 1)) {
      assertThat(mlp.offers()).doesNotContain(Need.NORM_LAYERS);
    }
    model.root().replace("fc", new Identity());
    assertThat(model.offers()).doesNotContain(Need.LINEAR_HEAD);
    assertThatThrownBy(model::head)
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("has been replaced");
  }

  @Test
  void aNetworkOfOnesOwnIsAModelToo() {
    Sequential root =
        new Sequential(new Linear(3, 5, rng), Activation.tanh(), new Linear(5, 2, rng));
    try (NeuralModel own = NeuralModel.of("own", root, "2", new long[] {3}, List.of("a", "b"))) {
      assertThat(own.predict(rng.normal(7, 3)).features().shape()).containsExactly(7, 5);
      assertThat(own.classes()).isEqualTo(2);
      assertThat(own.architecture()).isEmpty();
      assertThatThrownBy(() -> own.save(Path.of("never.safetensors")))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("zoo");
    }
    assertThatThrownBy(
            () -> NeuralModel.of("own", new Sequential(Activation.tanh()), "0", IMAGE, List.of()))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("not a linear layer");
  }

  @Test
  void aSavedModelComesBackToTheLastBit(@TempDir Path folder) {
    model.train(true);
    model.forward(x);
    NeuralModel named = model.named(List.of("bag", "coat", "shoe"));
    Path file = folder.resolve("model.safetensors");
    named.save(file);
    try (NeuralModel loaded = NeuralModel.load(file)) {
      assertThat(logits(loaded, x)).containsExactly(logits(model, x));
      assertThat(loaded.classNames()).containsExactly("bag", "coat", "shoe");
      assertThat(loaded.inputShape()).containsExactly(IMAGE);
      assertThat(loaded.architecture()).isEqualTo(named.architecture());
    }
  }

  @Test
  void typeAndFrozenParametersComeBackToo(@TempDir Path folder) {
    Path file = folder.resolve("model.safetensors");
    model.root().to(ScalarType.Double);
    model.root().freeze("layer1");
    model.save(file);
    try (NeuralModel loaded = NeuralModel.load(file)) {
      Tensor wide = x.to(ScalarType.Double);
      assertThat(Tensors.doubles(loaded.predict(wide).logits()))
          .containsExactly(Tensors.doubles(model.predict(wide).logits()));
      assertThat(loaded.root().trainable().keySet())
          .isEqualTo(model.root().trainable().keySet())
          .doesNotContain("layer1.0.conv1.weight")
          .contains("conv1.weight");
    }
  }

  @Test
  void bareWeightsLoadWithAnArchitecture(@TempDir Path folder) {
    Path file = folder.resolve("weights.safetensors");
    Safetensors.write(file, model.root().stateDict(), Map.of());
    assertThatThrownBy(() -> NeuralModel.load(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("bare weights");
    try (NeuralModel loaded =
        NeuralModel.load(file, "resnet8", Map.of("width", 4), IMAGE, 3, List.of())) {
      assertThat(logits(loaded, x)).containsExactly(logits(model, x));
    }
    assertThatThrownBy(
            () -> NeuralModel.load(file, "resnet8", Map.of("width", 8), IMAGE, 3, List.of()))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("of another shape");
  }

  @Test
  void damagedAndNewerFilesAreErrors(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("model.safetensors");
    model.save(file);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
    assertThatThrownBy(() -> NeuralModel.load(file)).isInstanceOf(OutriggerException.class);
    Safetensors.write(
        file, model.root().stateDict(), Map.of("architecture", "{}", "version", "99"));
    assertThatThrownBy(() -> NeuralModel.load(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("update Outrigger");
    Safetensors.write(file, model.root().stateDict(), Map.of("architecture", "{}", "version", "1"));
    assertThatThrownBy(() -> NeuralModel.load(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("damaged");
  }

  @Test
  void aModelWithReplacedLayersIsNotSavedAsIfItWereWhole(@TempDir Path folder) {
    model.root().replace("relu", Activation.gelu());
    Path file = folder.resolve("model.safetensors");
    assertThatThrownBy(() -> model.save(file))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("replaced");
    assertThat(file).doesNotExist();
  }

  @Test
  void aDeepCopyTrainsOnItsOwn() {
    float[] before = logits(model, x);
    try (NeuralModel copy = model.deepCopy()) {
      copy.parameters().values().forEach(p -> p.detach().zero_());
      assertThat(logits(copy, x)).containsOnly(0f);
    }
    assertThat(logits(model, x)).containsExactly(before);
  }
}
