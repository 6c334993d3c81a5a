package org.outrigger.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Inspection;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class OnnxModelTest {
  @TempDir Path folder;

  private PointerScope scope;
  private Tensor first;
  private Tensor firstBias;
  private Tensor last;
  private Tensor lastBias;
  private Tensor kernel;
  private Tensor kernelBias;
  private Tensor convHead;

  @BeforeEach
  void weights() {
    Torch.seed(3);
    scope = new PointerScope();
    first = torch.randn(6, 4);
    firstBias = torch.randn(6);
    last = torch.randn(3, 6);
    lastBias = torch.randn(3);
    kernel = torch.randn(5, 2, 3, 3);
    kernelBias = torch.randn(5);
    convHead = torch.randn(5, 3);
  }

  @AfterEach
  void free() {
    scope.close();
  }

  private Tensor hidden(Tensor x) {
    return x.matmul(first.t()).add(firstBias).relu();
  }

  /** A perceptron with Gemm layers, as PyTorch exports it. */
  private Path mlp(long batch, boolean softmax) throws IOException {
    GraphWriter writer =
        new GraphWriter()
            .input("x", batch, 4)
            .output(softmax ? "p" : "y", batch, 3)
            .weight("0.weight", first)
            .weight("0.bias", firstBias)
            .weight("2.weight", last)
            .weight("2.bias", lastBias)
            .node("Gemm", List.of("x", "0.weight", "0.bias"), "a", GraphWriter.integer("transB", 1))
            .node("Relu", List.of("a"), "h")
            .node(
                "Gemm", List.of("h", "2.weight", "2.bias"), "y", GraphWriter.integer("transB", 1));
    if (softmax) {
      writer.node("Softmax", List.of("y"), "p", GraphWriter.integer("axis", 1));
    }
    return writer.write(folder.resolve("mlp" + batch + softmax + ".onnx"));
  }

  /** A convolution, a global average and MatMul, with no sizes known between. */
  private Path conv() throws IOException {
    return new GraphWriter()
        .input("image", 0, 2, 8, 8)
        .output("y", 0, 3)
        .weight("kernel", kernel)
        .weight("kernel.bias", kernelBias)
        .weight("head", convHead)
        .weight("head.bias", lastBias)
        .node(
            "Conv",
            List.of("image", "kernel", "kernel.bias"),
            "c",
            GraphWriter.integers("pads", 1L, 1L, 1L, 1L))
        .node("Relu", List.of("c"), "r")
        .node("GlobalAveragePool", List.of("r"), "g")
        .node("Flatten", List.of("g"), "f")
        .node("MatMul", List.of("f", "head"), "m")
        .node("Add", List.of("m", "head.bias"), "y")
        .write(folder.resolve("conv.onnx"));
  }

  private Tensor convFeatures(Tensor x) {
    return torch
        .constant_pad_nd(x, 1, 1, 1, 1)
        .unfold(2, 3, 1)
        .unfold(3, 3, 1)
        .permute(0, 2, 3, 1, 4, 5)
        .reshape(x.size(0), 8, 8, 18)
        .matmul(kernel.reshape(5, 18).t())
        .add(kernelBias)
        .relu()
        .permute(0, 3, 1, 2);
  }

  private static void assertClose(Tensor actual, Tensor expected) {
    assertThat(actual.shape()).containsExactly(expected.shape());
    assertThat(Tensors.floats(actual)).containsExactly(Tensors.floats(expected), within(1e-4f));
  }

  @Test
  void aPerceptronGivesLogitsFeaturesAndHead() throws IOException {
    try (OnnxModel model = OnnxModel.load(mlp(0, false))) {
      Tensor x = torch.randn(7, 4);
      Output output = model.predict(x);
      assertClose(output.features(), hidden(x));
      assertClose(output.logits(), hidden(x).matmul(last.t()).add(lastBias));
      LinearHead head = model.as(Capabilities.HasLinearHead.class).orElseThrow().head();
      assertClose(head.weight(), last);
      assertClose(head.apply(output.features()), output.logits());
      assertThat(model.classes()).isEqualTo(3);
      assertThat(model.offers())
          .containsExactlyInAnyOrder(
              Need.LOGITS, Need.FEATURES, Need.LINEAR_HEAD, Need.FEATURE_MAPS);
      assertThat(model.as(Capabilities.Differentiable.class)).isEmpty();
    }
  }

  @Test
  void aConvolutionGivesInnerValues() throws IOException {
    try (OnnxModel model = OnnxModel.load(conv());
        OnnxModel pooled = OnnxModel.load(conv(), OnnxModel.Options.defaults().withFeatures("r"))) {
      Tensor x = torch.randn(3, 2, 8, 8);
      Tensor maps = convFeatures(x);
      Output output = model.predict(x, List.of("g", "r"));
      assertThat(output.maps().keySet()).containsExactly("r", "g");
      assertClose(output.maps().get("r"), maps);
      assertClose(output.features(), maps.flatten(2, -1).mean(2));
      assertClose(output.logits(), maps.flatten(2, -1).mean(2).matmul(convHead).add(lastBias));
      assertClose(model.head().weight(), convHead.t().contiguous());
      assertClose(model.head().apply(output.features()), output.logits());
      assertClose(pooled.predict(x).features(), output.features());
      assertThat(pooled.as(Capabilities.HasLinearHead.class)).isEmpty();
    }
  }

  @Test
  void aSoftmaxAtTheEndIsLeftOff() throws IOException {
    try (OnnxModel model = OnnxModel.load(mlp(0, true));
        OnnxModel kept =
            OnnxModel.load(mlp(0, true), OnnxModel.Options.defaults().withLogits("p"))) {
      Tensor x = torch.randn(2, 4);
      Tensor logits = hidden(x).matmul(last.t()).add(lastBias);
      assertClose(model.predict(x).logits(), logits);
      assertClose(kept.predict(x).logits(), logits.softmax(1));
      assertThat(kept.as(Capabilities.HasLinearHead.class)).isEmpty();
      assertThat(model.describe().notes()).hasSize(1);
    }
  }

  @Test
  void aFixedBatchSizeIsSplitAndPadded() throws IOException {
    try (OnnxModel model = OnnxModel.load(mlp(4, false))) {
      for (int rows : new int[] {1, 4, 6, 9}) {
        Tensor x = torch.randn(rows, 4);
        Output output = model.predict(x, List.of("h"));
        assertClose(output.logits(), hidden(x).matmul(last.t()).add(lastBias));
        assertClose(output.features(), hidden(x));
        assertClose(output.maps().get("h"), hidden(x));
      }
    }
  }

  @Test
  void placesAreNamed() throws IOException {
    var options = OnnxModel.Options.defaults();
    try (OnnxModel model = OnnxModel.load(mlp(0, false), options.withHead("2").withThreads(1))) {
      assertThat(model.as(Capabilities.HasLinearHead.class)).isPresent();
    }
    Path file = mlp(0, false);
    assertThatThrownBy(() -> OnnxModel.load(file, options.withHead("fc")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("'fc'")
        .hasMessageContaining("2.weight");
    assertThatThrownBy(() -> OnnxModel.load(file, options.withFeatures("z")))
        .hasMessageContaining("'z'")
        .hasMessageContaining("a, h, y");
    assertThatThrownBy(() -> OnnxModel.load(file, options.withInput("image")))
        .hasMessageContaining("'image'")
        .hasMessageContaining("x");
    assertThatThrownBy(() -> options.withThreads(-1)).hasMessageContaining("threads");
  }

  @Test
  void inputsThatDoNotFitAreNamedByShape() throws IOException {
    try (OnnxModel model = OnnxModel.load(conv())) {
      assertThatThrownBy(() -> model.predict(torch.randn(1, 3, 8, 8)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("[N, 2, 8, 8]")
          .hasMessageContaining("[1, 3, 8, 8]");
      assertThatThrownBy(() -> model.predict(torch.randn(0, 2, 8, 8)))
          .hasMessageContaining("empty");
      assertThatThrownBy(() -> model.predict(torch.randn(1, 2, 8, 8), List.of("q")))
          .hasMessageContaining("'q'");
    }
  }

  @Test
  void itOpensByContentAndSavesWhatWasNamed() throws IOException {
    Path renamed = Files.copy(conv(), folder.resolve("renamed"));
    try (Model model =
        ModelFiles.open(renamed, ModelFiles.Options.defaults().withPlaces("r", null, null))) {
      Path saved = folder.resolve("saved.onnx");
      model.as(Capabilities.Saveable.class).orElseThrow().save(saved);
      try (Model again = ModelFiles.open(saved)) {
        Tensor x = torch.randn(2, 2, 8, 8);
        assertThat(Tensors.floats(again.predict(x).features()))
            .containsExactly(Tensors.floats(model.predict(x).features()));
        assertThat(again.as(Capabilities.HasLinearHead.class)).isEmpty();
      }
    }
    assertThat(ModelFiles.formats()).contains("ONNX (.onnx)");
  }

  @Test
  void itIsInspected() throws IOException {
    try (OnnxModel model = OnnxModel.load(conv())) {
      Inspection inspection = Inspection.of(model);
      assertThat(inspection.inputShape()).containsExactly(2L, 8L, 8L);
      assertThat(inspection.parameters()).isEqualTo(90 + 5 + 15 + 3);
      assertThat(inspection.trainable()).isZero();
      assertThat(inspection.layers().get(0))
          .isEqualTo(new Inspection.Layer("c", "Conv", 95, List.of(5L, 8L, 8L)));
      assertThat(inspection.head()).isEqualTo(new Inspection.Head(3, 5));
      assertThat(inspection.render()).contains("ONNX").contains("GlobalAveragePool");
    }
  }

  @Test
  void weightsBesideTheModelAreReadButNotOutsideItsFolder() throws IOException {
    byte[] data = new byte[8 + 4 * 18];
    ByteBuffer bytes = Tensors.bytes(last);
    bytes.get(data, 8, 72);
    Files.write(folder.resolve("weights.bin"), data);
    Tensor x = torch.randn(2, 6);
    try (OnnxModel model = OnnxModel.load(external("weights.bin"))) {
      assertClose(model.predict(x).logits(), x.matmul(last.t()));
      assertClose(model.head().weight(), last);
      assertThatThrownBy(() -> model.save(folder.resolve("copy.onnx")))
          .hasMessageContaining("external data");
    }
    Path outside = external("../weights.bin");
    assertThatThrownBy(() -> OnnxModel.load(outside))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("outside");
    Path absent = external("none.bin");
    assertThatThrownBy(() -> OnnxModel.load(absent)).hasMessageContaining("none.bin");
  }

  private Path external(String location) throws IOException {
    TensorProto weight =
        TensorProto.newBuilder()
            .setName("w")
            .setDataType(TensorProto.DataType.FLOAT.getNumber())
            .addDims(3)
            .addDims(6)
            .setDataLocation(TensorProto.DataLocation.EXTERNAL)
            .addExternalData(entry("location", location))
            .addExternalData(entry("offset", "8"))
            .addExternalData(entry("length", "72"))
            .build();
    return new GraphWriter()
        .input("x", 0, 6)
        .output("y", 0, 3)
        .weight(weight)
        .node("Identity", List.of("x"), "i")
        .node("Gemm", List.of("i", "w"), "y", GraphWriter.integer("transB", 1))
        .write(folder.resolve("external.onnx"));
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  @Test
  void onlyAPlainLinearEndIsAHead() throws IOException {
    Path scaled =
        new GraphWriter()
            .input("x", 0, 4)
            .output("y", 0, 6)
            .weight("w", first)
            .node(
                "Gemm",
                List.of("x", "w"),
                "y",
                GraphWriter.integer("transB", 1),
                GraphWriter.number("alpha", 2))
            .write(folder.resolve("scaled.onnx"));
    try (OnnxModel model = OnnxModel.load(scaled)) {
      Tensor x = torch.randn(2, 4);
      assertClose(model.predict(x).logits(), x.matmul(first.t()).add(x.matmul(first.t())));
      assertThat(model.as(Capabilities.HasLinearHead.class)).isEmpty();
      assertThat(model.predict(x).hasFeatures()).isFalse();
      assertThat(model.classes()).isEqualTo(6);
    }
  }

  @Test
  void predictingIsSafeFromManyThreads() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try (OnnxModel model = OnnxModel.load(conv())) {
      Tensor x = torch.randn(4, 2, 8, 8);
      float[] wanted = Tensors.floats(model.predict(x).logits());
      List<Future<float[]>> results = new ArrayList<>();
      for (int i = 0; i < 60; i++) {
        List<String> maps = i % 2 == 0 ? List.of("c") : List.of();
        results.add(
            pool.submit(
                () -> {
                  try (Output output = model.predict(x, maps)) {
                    return Tensors.floats(output.logits());
                  }
                }));
      }
      for (Future<float[]> result : results) {
        assertThat(result.get()).containsExactly(wanted, within(1e-5f));
      }
    } finally {
      pool.shutdown();
    }
  }

  @Test
  void damagedFilesAreErrors() throws IOException {
    assertThatThrownBy(() -> OnnxModel.load(folder.resolve("absent.onnx")))
        .hasMessageContaining("no file");
    Path empty = Files.createFile(folder.resolve("empty.onnx"));
    assertThatThrownBy(() -> OnnxModel.load(empty)).hasMessageContaining("empty");
    byte[] whole = Files.readAllBytes(conv());
    Path damaged = folder.resolve("damaged.onnx");
    for (int keep : new int[] {1, 20, whole.length / 2, whole.length - 1}) {
      Files.write(damaged, Arrays.copyOf(whole, keep));
      assertThatThrownBy(() -> OnnxModel.load(damaged)).isInstanceOf(OutriggerException.class);
    }
    Random random = new Random(2);
    int refused = 0;
    for (int i = 0; i < 80; i++) {
      byte[] bytes = whole.clone();
      bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
      Files.write(damaged, bytes);
      try (OnnxModel model = OnnxModel.load(damaged)) {
        assertThat(model.name()).isEqualTo("damaged.onnx");
      } catch (OutriggerException e) {
        assertThat(e.firstLine()).isNotBlank();
        refused++;
      }
    }
    assertThat(refused).isPositive();
  }
}
