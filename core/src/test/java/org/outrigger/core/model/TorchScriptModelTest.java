package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.UnaryOperator;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Need;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class TorchScriptModelTest {
  private static final Path FIXTURES = Path.of("src/test/resources/torchscript");

  @TempDir Path folder;

  private static Path file(String name) {
    return FIXTURES.resolve(name + ".pt");
  }

  private static JsonNode expected(String name) {
    return JsonMapper.shared().readTree(FIXTURES.resolve(name + ".json").toFile());
  }

  private static Tensor tensor(JsonNode node) {
    long[] shape = new long[node.get("shape").size()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = node.get("shape").get(i).asLong();
    }
    return Tensors.of(values(node), shape);
  }

  private static float[] values(JsonNode node) {
    float[] values = new float[node.get("values").size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) node.get("values").get(i).asDouble();
    }
    return values;
  }

  private static Tensor images(long... shape) {
    return org.bytedeco.pytorch.global.torch.randn(shape);
  }

  @ParameterizedTest
  @ValueSource(strings = {"scripted", "traced", "plain", "pair", "headless"})
  void outputsAndGradientsAreThoseOfPython(String name) {
    JsonNode expected = expected(name);
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file(name))) {
      Tensor input = tensor(expected.get("input"));
      Output output = model.predict(input);
      assertThat(Tensors.floats(output.logits()))
          .containsExactly(values(expected.get("logits")), within(1e-5f));
      assertThat(output.logits().requires_grad()).isFalse();
      assertThat(output.hasFeatures()).isEqualTo(!expected.get("features").isNull());
      if (output.hasFeatures()) {
        assertThat(Tensors.floats(output.features()))
            .containsExactly(values(expected.get("features")), within(1e-5f));
      }
      Tensor loss = model.forward(input).logits().square().sum();
      assertThat(loss.item_double()).isCloseTo(expected.get("loss").asDouble(), within(1e-4));
      List<String> names = List.copyOf(model.parameters().keySet());
      assertThat(names)
          .containsExactlyInAnyOrderElementsOf(expected.get("gradients").propertyNames());
      List<Tensor> gradients = Gradients.of(loss, List.copyOf(model.parameters().values()), false);
      for (int i = 0; i < names.size(); i++) {
        assertThat(gradients.get(i).norm().item_double())
            .as(names.get(i))
            .isCloseTo(expected.get("gradients").get(names.get(i)).asDouble(), within(1e-3));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"scripted", "traced", "plain", "pair", "frozen"})
  void theHeadTurnsFeaturesIntoLogits(String name) {
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file(name))) {
      assertThat(model.classes()).isEqualTo(4);
      LinearHead head = model.as(Capabilities.HasLinearHead.class).orElseThrow().head();
      Output output = model.predict(images(5, 2, 6, 6));
      assertThat(Tensors.floats(head.apply(output.features())))
          .containsExactly(Tensors.floats(output.logits()), within(1e-5f));
      assertThat(model.offers()).contains(Need.FEATURES, Need.LINEAR_HEAD);
    }
  }

  @Test
  void aSoftmaxAtTheEndIsLeftOff() {
    JsonNode expected = expected("softmax");
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file("softmax"))) {
      Output output = model.predict(tensor(expected.get("input")));
      assertThat(Tensors.floats(output.logits().log_softmax(1)))
          .containsExactly(values(expected.get("logits")), within(1e-5f));
      assertThat(Tensors.floats(output.features()))
          .containsExactly(values(expected.get("features")), within(1e-5f));
      assertThat(Tensors.floats(model.head().apply(output.features())))
          .containsExactly(Tensors.floats(output.logits()), within(1e-5f));
      assertThat(model.describe().notes()).anyMatch(note -> note.contains("softmax"));
    }
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model =
            TorchScriptModel.load(
                file("softmax"), TorchScriptModel.Options.defaults().withLogits("0"))) {
      assertThat(Tensors.floats(model.predict(tensor(expected.get("input"))).logits()))
          .containsExactly(values(expected.get("logits")), within(1e-5f));
      assertThat(model.as(Capabilities.HasLinearHead.class)).isEmpty();
    }
  }

  @Test
  void aModelWithoutALinearEndOffersLogitsOnly() {
    try (TorchScriptModel model = TorchScriptModel.load(file("headless"))) {
      assertThat(model.classes()).isEqualTo(-1);
      assertThat(model.as(Capabilities.HasLinearHead.class)).isEmpty();
      assertThat(model.offers()).doesNotContain(Need.FEATURES, Need.LINEAR_HEAD);
      assertThat(model.normLayers()).singleElement().extracting("kind").isEqualTo("LayerNorm");
      model.predict(images(2, 3)).close();
      assertThat(model.classes()).isEqualTo(4);
      assertThatThrownBy(model::head).isInstanceOf(OutriggerException.class);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"scripted", "traced", "plain"})
  void innerLayersCanBeNamed(String name) {
    var options = TorchScriptModel.Options.defaults().withFeatures("layer1");
    try (PointerScope scope = new PointerScope();
        TorchScriptModel plain = TorchScriptModel.load(file(name));
        TorchScriptModel model = TorchScriptModel.load(file(name), options)) {
      Tensor input = images(3, 2, 6, 6);
      assertThat(model.featurePoints()).contains("conv1", "bn1", "layer1.0.conv", "layer1", "fc");
      Output output = model.predict(input, List.of("layer1", "bn1"));
      assertThat(output.maps().keySet()).containsExactly("bn1", "layer1");
      assertThat(output.maps().get("layer1").shape()).containsExactly(3, 6, 6, 6);
      // The features of this network are the average of what layer1 gives.
      assertThat(Tensors.floats(output.features()))
          .containsExactly(Tensors.floats(plain.predict(input).features()), within(1e-5f));
      assertThat(model.as(Capabilities.HasLinearHead.class)).isEmpty();
    }
  }

  @Test
  void headsMethodsAndOutputsCanBeNamed() {
    var options = TorchScriptModel.Options.defaults();
    try (PointerScope scope = new PointerScope();
        TorchScriptModel head = TorchScriptModel.load(file("plain"), options.withHead("fc"));
        TorchScriptModel method =
            TorchScriptModel.load(file("scripted"), options.withFeatures("method:features"));
        TorchScriptModel second =
            TorchScriptModel.load(file("pair"), options.withFeatures("output:1"))) {
      Tensor input = images(3, 2, 6, 6);
      float[] features = Tensors.floats(head.predict(input).features());
      assertThat(head.as(Capabilities.HasLinearHead.class)).isPresent();
      assertThat(Tensors.floats(method.predict(input).features()))
          .containsExactly(features, within(1e-5f));
      assertThat(Tensors.floats(second.predict(input).features()))
          .containsExactly(features, within(1e-5f));
    }
    assertThatThrownBy(() -> TorchScriptModel.load(file("plain"), options.withHead("conv1")))
        .hasMessageContaining("'conv1'")
        .hasMessageContaining("fc");
    assertThatThrownBy(() -> TorchScriptModel.load(file("plain"), options.withFeatures("avgpol")))
        .hasMessageContaining("'avgpol'")
        .hasMessageContaining("layer1");
    assertThatThrownBy(
            () -> TorchScriptModel.load(file("plain"), options.withFeatures("method:embed")))
        .hasMessageContaining("torch.jit.export");
    assertThatThrownBy(() -> TorchScriptModel.load(file("plain"), options.withLogits("3")))
        .hasMessageContaining("'3'");
  }

  @Test
  void changedNormalisationLayersAreSavedAndReloaded() {
    Path saved = folder.resolve("adapted.pt");
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model =
            TorchScriptModel.load(
                file("scripted"), TorchScriptModel.Options.defaults().withFeatures("layer1"))) {
      Tensor input = images(4, 2, 6, 6);
      float[] before = Tensors.floats(model.predict(input).logits());
      List<Capabilities.NormLayer> norms = model.normLayers();
      assertThat(norms)
          .extracting(Capabilities.NormLayer::name)
          .containsExactly("bn1", "layer1.0.bn", "layer1.1.bn");
      Scopes.grad(
          false,
          () -> {
            for (Capabilities.NormLayer norm : norms) {
              assertThat(norm.kind()).isEqualTo("BatchNorm2d");
              norm.weight().mul_(new Scalar(1.5));
              norm.runningMean().add_(new Scalar(0.25));
            }
            return 0;
          });
      float[] after = Tensors.floats(model.predict(input).logits());
      assertThat(after).isNotEqualTo(before);
      model.save(saved);
      try (TorchScriptModel again = TorchScriptModel.load(saved)) {
        Output output = again.predict(input);
        assertThat(Tensors.floats(output.logits())).containsExactly(after);
        assertThat(again.as(Capabilities.HasLinearHead.class)).as("the named place").isEmpty();
        assertThat(again.parameters().values()).allMatch(Tensor::requires_grad);
      }
      assertThat(folder.toFile().list()).containsExactly("adapted.pt");
    }
  }

  @Test
  void aCopyHasWeightsOfItsOwn() {
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file("plain"));
        TorchScriptModel copy = model.deepCopy()) {
      Tensor input = images(2, 2, 6, 6);
      float[] before = Tensors.floats(model.predict(input).logits());
      assertThat(Tensors.floats(copy.predict(input).logits())).containsExactly(before);
      Scopes.grad(false, () -> copy.head().weight().zero_());
      assertThat(Tensors.floats(model.predict(input).logits())).containsExactly(before);
      assertThat(Tensors.floats(copy.predict(input).logits())).isNotEqualTo(before);
      assertThat(copy.parameters().values()).allMatch(Tensor::requires_grad);
    }
  }

  @Test
  void trainingUsesAndUpdatesBatchStatisticsWhilePredictingDoesNot() {
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file("plain"))) {
      Tensor input = images(4, 2, 6, 6);
      float[] evaluated = Tensors.floats(model.predict(input).logits());
      assertThat(Tensors.floats(model.forward(input).logits())).containsExactly(evaluated);
      float[] mean = Tensors.floats(model.buffers().get("bn1.running_mean"));
      model.train(true);
      assertThat(Tensors.floats(model.predict(input).logits())).containsExactly(evaluated);
      assertThat(Tensors.floats(model.buffers().get("bn1.running_mean"))).containsExactly(mean);
      assertThat(Tensors.floats(model.forward(input).logits())).isNotEqualTo(evaluated);
      assertThat(Tensors.floats(model.buffers().get("bn1.running_mean"))).isNotEqualTo(mean);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"traced", "scripted"})
  void otherWeightsCanBeTriedWithoutTouchingTheModel(String name) {
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file(name));
        TorchScriptModel changed = model.deepCopy()) {
      Tensor input = images(3, 2, 6, 6);
      float[] own = Tensors.floats(model.predict(input).logits());
      Tensor bias = Tensors.of(new float[] {1, 2, 3, 4}, 4).requires_grad_(true);
      Tensor conv = images(6, 6, 3, 3).requires_grad_(true);
      Output output =
          model
              .as(Capabilities.Functional.class)
              .orElseThrow()
              .forward(input, Map.of("fc.bias", bias, "layer1.1.conv.weight", conv));
      Scopes.grad(
          false,
          () -> {
            changed.parameters().get("fc.bias").copy_(bias);
            return changed.parameters().get("layer1.1.conv.weight").copy_(conv);
          });
      assertThat(Tensors.floats(output.logits()))
          .containsExactly(Tensors.floats(changed.predict(input).logits()), within(1e-5f));
      assertThat(Tensors.floats(model.predict(input).logits())).containsExactly(own);
      List<Tensor> gradients = Gradients.of(output.logits().sum(), List.of(bias, conv), false);
      assertThat(Tensors.floats(gradients.get(0))).containsOnly(3);
      assertThat(gradients.get(1).abs().sum().item_double()).isPositive();
      assertThatThrownBy(() -> model.forward(input, Map.of("fc.scale", bias)))
          .hasMessageContaining("fc.scale");
      assertThatThrownBy(() -> model.forward(input, Map.of("fc.bias", conv)))
          .hasMessageContaining("[6, 6, 3, 3]");
    }
  }

  @Test
  void secondOrderGradientsAgreeWithDifferences() {
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file("softmax"))) {
      Tensor input = images(3, 3);
      Tensor bias = model.parameters().get("2.bias");
      Tensor loss = model.forward(input).logits().logsumexp(1).square().sum();
      Tensor gradient = Gradients.of(loss, List.of(bias), true).get(0);
      Tensor second = Gradients.of(gradient.sum(), List.of(bias), false).get(0);
      double step = 1e-2;
      double[] sums = new double[2];
      for (int side = 0; side < 2; side++) {
        double shift = side == 0 ? step : -step;
        Scopes.grad(false, () -> bias.add_(new Scalar(shift)));
        Tensor moved = model.forward(input).logits().logsumexp(1).square().sum();
        sums[side] = Gradients.of(moved, bias).sum().item_double();
        Scopes.grad(false, () -> bias.sub_(new Scalar(shift)));
      }
      assertThat(second.sum().item_double())
          .isCloseTo((sums[0] - sums[1]) / (2 * step), within(0.05));
    }
  }

  @Test
  void predictingIsSafeFromManyThreads() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file("plain"))) {
      Tensor input = images(8, 2, 6, 6);
      float[] wanted = Tensors.floats(model.predict(input).logits());
      List<Future<float[]>> results = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        List<String> maps = i % 3 == 0 ? List.of("layer1") : List.of();
        results.add(
            pool.submit(
                () -> {
                  try (Output output = model.predict(input, maps)) {
                    return Tensors.floats(output.logits());
                  }
                }));
      }
      for (Future<float[]> result : results) {
        assertThat(result.get()).containsExactly(wanted, within(1e-6f));
      }
    } finally {
      pool.shutdown();
    }
  }

  @Test
  void wrongInputsAreNamedByShape() {
    try (PointerScope scope = new PointerScope();
        TorchScriptModel model = TorchScriptModel.load(file("plain"))) {
      assertThatThrownBy(() -> model.predict(images(3, 5, 6, 6)))
          .isInstanceOf(OutriggerException.class)
          .extracting(e -> ((OutriggerException) e).firstLine())
          .asString()
          .contains("[3, 5, 6, 6]")
          .contains("channels");
      assertThatThrownBy(() -> model.predict(images(0, 2, 6, 6))).hasMessageContaining("empty");
      assertThatThrownBy(() -> model.predict(images(1, 2, 6, 6), List.of("nowhere")))
          .hasMessageContaining("'nowhere'");
    }
  }

  @Test
  void filesThatAreNoModelSayWhatToDo() throws IOException {
    assertThatThrownBy(() -> TorchScriptModel.load(folder.resolve("absent.pt")))
        .hasMessageContaining("no file");
    assertThatThrownBy(() -> TorchScriptModel.load(folder)).hasMessageContaining("folder");
    assertThatThrownBy(() -> TorchScriptModel.load(file("state_dict")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("torch.jit.script")
        .hasMessageContaining("safetensors");
    Path text = Files.writeString(folder.resolve("text.pt"), "hello");
    assertThatThrownBy(() -> TorchScriptModel.load(text)).hasMessageContaining("zip");
    Path empty = Files.createFile(folder.resolve("empty.pt"));
    assertThatThrownBy(() -> TorchScriptModel.load(empty)).hasMessageContaining("empty");
    Path legacy = Files.write(folder.resolve("old.pt"), new byte[] {(byte) 0x80, 2, 'x', 'y'});
    assertThatThrownBy(() -> TorchScriptModel.load(legacy)).hasMessageContaining("pickled");
  }

  @Test
  void everyTruncationIsAnError() throws IOException {
    byte[] whole = Files.readAllBytes(file("traced"));
    Path cut = folder.resolve("cut.pt");
    for (int keep :
        new int[] {3, 4, 30, 100, whole.length / 2, whole.length - 23, whole.length - 1}) {
      Files.write(cut, Arrays.copyOf(whole, keep));
      assertThatThrownBy(() -> TorchScriptModel.load(cut))
          .as("first %d bytes", keep)
          .isInstanceOf(OutriggerException.class);
    }
  }

  @Test
  void flippedBytesNeverCrash() throws IOException {
    byte[] whole = Files.readAllBytes(file("traced"));
    Path flipped = folder.resolve("flipped.pt");
    Random random = new Random(5);
    int refused = 0;
    for (int i = 0; i < 60; i++) {
      byte[] bytes = whole.clone();
      bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
      Files.write(flipped, bytes);
      try (TorchScriptModel model = TorchScriptModel.load(flipped)) {
        assertThat(model.parameters()).hasSize(11);
      } catch (OutriggerException e) {
        assertThat(e.firstLine()).contains("flipped.pt");
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(30);
  }

  /** Writes the file again with one entry changed and all checksums right. */
  private Path rewritten(String name, String entry, UnaryOperator<byte[]> change)
      throws IOException {
    Path target = folder.resolve("rewritten.pt");
    try (ZipFile from = new ZipFile(file(name).toFile());
        ZipOutputStream to = new ZipOutputStream(Files.newOutputStream(target))) {
      for (ZipEntry old : java.util.Collections.list(from.entries())) {
        byte[] content = from.getInputStream(old).readAllBytes();
        if (old.getName().equals(name + "/" + entry)) {
          content = change.apply(content);
        }
        to.putNextEntry(new ZipEntry(old.getName()));
        to.write(content);
      }
    }
    return target;
  }

  @Test
  void tensorDataThatIsTooShortIsAnErrorThoughTheArchiveIsSound() throws IOException {
    try (TorchScriptModel whole =
        TorchScriptModel.load(rewritten("traced", "data/0", bytes -> bytes))) {
      assertThat(whole.parameters()).hasSize(11);
    }
    Path cut = rewritten("traced", "data/0", bytes -> Arrays.copyOf(bytes, 8));
    assertThatThrownBy(() -> TorchScriptModel.load(cut))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cut off");
    Path constant = rewritten("frozen", "constants/0", bytes -> Arrays.copyOf(bytes, 0));
    assertThatThrownBy(() -> TorchScriptModel.load(constant))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cut off");
  }

  @ParameterizedTest
  @ValueSource(strings = {"data.pkl", "code/__torch__.py", "constants.pkl", "version"})
  void hostileContentNeverCrashes(String entry) throws IOException {
    Random random = new Random(11);
    for (int i = 0; i < 4; i++) {
      Path file =
          rewritten(
              "traced",
              entry,
              bytes -> {
                byte[] changed = bytes.clone();
                changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
                return changed;
              });
      try (PointerScope scope = new PointerScope();
          TorchScriptModel model = TorchScriptModel.load(file)) {
        model.predict(images(2, 2, 6, 6));
      } catch (OutriggerException e) {
        assertThat(e.firstLine()).contains("rewritten.pt");
      }
    }
  }

  @Test
  void codeThatWritesFilesIsNotRun() throws IOException {
    Path file =
        rewritten(
            "traced",
            "code/__torch__.py",
            bytes -> {
              String text = new String(bytes, java.nio.charset.StandardCharsets.UTF_8);
              return (text + "# torch.save(x, \"file\")\n")
                  .getBytes(java.nio.charset.StandardCharsets.UTF_8);
            });
    assertThatThrownBy(() -> TorchScriptModel.load(file)).hasMessageContaining("torch.save");
  }

  @Test
  void predictingKeepsMemoryFlat() {
    try (TorchScriptModel model = TorchScriptModel.load(file("plain"))) {
      try (PointerScope scope = new PointerScope()) {
        Tensor input = images(4, 2, 6, 6);
        for (int i = 0; i < 10; i++) {
          model.predict(input, List.of("layer1")).close();
        }
        long before = Pointer.totalBytes();
        for (int i = 0; i < 50; i++) {
          try (Output output = model.predict(input, List.of("layer1"))) {
            assertThat(output.size()).isEqualTo(4);
          }
        }
        assertThat(Pointer.totalBytes() - before).isLessThan(2_000);
      }
    }
  }
}
