package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.TorchScriptModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * End to end: a TorchScript file that Python wrote (see {@code make_stream_model.py}) follows a
 * stream as it does in Python.
 */
class TorchScriptStreamTest {
  private static final int ROWS = 40;
  private static final int CLASSES = 10;

  private PointerScope scope;
  private TorchScriptModel model;
  private Map<String, Object> python;

  @BeforeEach
  void open() throws IOException, URISyntaxException {
    Torch.start();
    scope = new PointerScope();
    model = TorchScriptModel.load(resource("stream_model.pt"));
    python = Json.object("stream_model.json", Files.readString(resource("stream_model.json")));
  }

  @AfterEach
  void close() {
    model.close();
    scope.close();
  }

  private static Path resource(String name) throws URISyntaxException {
    return Path.of(
        Objects.requireNonNull(TorchScriptStreamTest.class.getResource("/torchscript/" + name))
            .toURI());
  }

  private static float[] floats(Object list) {
    List<?> values = (List<?>) list;
    float[] floats = new float[values.size()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = ((Number) values.get(i)).floatValue();
    }
    return floats;
  }

  private List<Tensor> stream() {
    List<Tensor> stream = new ArrayList<>();
    ((List<?>) Objects.requireNonNull(python.get("x")))
        .forEach(x -> stream.add(Tensors.of(floats(x), ROWS, 1, 8, 8)));
    return stream;
  }

  /** Runs an adapter over the stream, compares with Python, and gives the accuracy. */
  private double follows(String stack, String key, double tolerance) {
    int right = 0;
    List<?> expected = (List<?>) Objects.requireNonNull(python.get(key));
    List<?> labels = (List<?>) Objects.requireNonNull(python.get("y"));
    try (Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, null);
      List<Tensor> stream = stream();
      for (int i = 0; i < stream.size(); i++) {
        Output output = adapter.adapt(stream.get(i));
        assertThat(Tensors.floats(output.logits()))
            .as("batch " + i)
            .containsExactly(floats(expected.get(i)), within((float) tolerance));
        int[] predicted = Tensors.ints(output.logits().argmax(new LongOptional(1), false));
        for (int r = 0; r < ROWS; r++) {
          right += predicted[r] == ((Number) ((List<?>) labels.get(i)).get(r)).intValue() ? 1 : 0;
        }
      }
      if (key.equals("tent")) {
        Map<String, Tensor> parameters =
            adapter.model().as(Capabilities.Differentiable.class).orElseThrow().parameters();
        assertThat(Tensors.floats(parameters.get("bn2.weight")))
            .containsExactly(
                floats(Objects.requireNonNull(python.get("scales"))), within((float) tolerance));
      }
    }
    return right / (double) (CLASSES * 12);
  }

  @Test
  void itSaysWhatPythonSaysAndAdaptingHelps() {
    double source = follows("source", "source", 1e-4);
    double batch = follows("bn-adapt", "batch_statistics", 2e-4);
    double tent = follows("tent:optimiser=sgd:lr=0.05:momentum=0.9", "tent", 1e-3);
    Map<?, ?> accuracy = (Map<?, ?>) Objects.requireNonNull(python.get("accuracy"));
    assertThat(source).isEqualTo(((Number) accuracy.get("source")).doubleValue(), within(1e-9));
    assertThat(batch)
        .isEqualTo(((Number) accuracy.get("batch_statistics")).doubleValue(), within(1e-9))
        .isGreaterThan(source + 0.2);
    assertThat(tent).isEqualTo(((Number) accuracy.get("tent")).doubleValue(), within(1e-9));
  }

  @Test
  void theAdaptedFileWorksInEvaluationModeWhereItIsOpenedNext(@TempDir Path folder) {
    Path file = folder.resolve("adapted.pt");
    List<Tensor> stream = stream();
    int[] labels = labels();
    double before = accuracy(model, stream, labels);
    try (Adapter adapter = Adapters.parse("tent")) {
      adapter.start(model, null);
      stream.forEach(batch -> Scopes.run(() -> adapter.adapt(batch)));
      RunningStatistics.settle(adapter.model(), stream);
      adapter.model().as(Capabilities.Saveable.class).orElseThrow().save(file);
    }
    try (TorchScriptModel adapted = TorchScriptModel.load(file)) {
      assertThat(accuracy(adapted, stream, labels)).isGreaterThan(before + 0.2);
    }
    assertThat(accuracy(model, stream, labels)).isEqualTo(before);
  }

  private int[] labels() {
    return ((List<?>) Objects.requireNonNull(python.get("y")))
        .stream()
            .flatMap(batch -> ((List<?>) batch).stream())
            .mapToInt(label -> ((Number) label).intValue())
            .toArray();
  }

  private static double accuracy(TorchScriptModel model, List<Tensor> stream, int... labels) {
    int right = 0;
    int row = 0;
    for (Tensor batch : stream) {
      int[] predicted =
          Scopes.scoped(
              () -> Tensors.ints(model.predict(batch).logits().argmax(new LongOptional(1), false)));
      for (int label : predicted) {
        right += label == labels[row++] ? 1 : 0;
      }
    }
    return right / (double) labels.length;
  }

  @Test
  void aSingleRowIsRefusedWithAWayOut() {
    try (Adapter adapter = Adapters.parse("tent")) {
      adapter.start(model, null);
      assertThat(adapter.minimumBatch()).isEqualTo(2);
      assertThatThrownBy(() -> adapter.adapt(stream().get(0).narrow(0, 0, 1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("unmix-tns");
    }
  }
}
