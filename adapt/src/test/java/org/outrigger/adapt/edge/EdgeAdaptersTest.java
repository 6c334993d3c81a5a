package org.outrigger.adapt.edge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** CEMA and U-VPA with both sides in one process; what all adapters promise is tested elsewhere. */
class EdgeAdaptersTest {
  private static final String LEARNING =
      ":entHighMargin=2:entLowMargin=0:threshold=static:cloudBatch=8:replayStart=16:replay=64";

  private PointerScope scope;
  private NeuralModel model;
  private NeuralModel teacher;
  private List<Tensor> stream;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = EdgeWorld.model(5, 1);
    teacher = EdgeWorld.model(9, 2);
    stream = EdgeWorld.stream(6, 16);
  }

  @AfterEach
  void close() {
    model.close();
    teacher.close();
    scope.close();
  }

  private static Message upload(Tensor rows) {
    return new Message(
        Message.Kind.UPLOAD,
        Map.of("batch", 1, "version", 0, "uncertainty", 0.1),
        Map.of("samples", rows));
  }

  @Test
  void theCloudTeachesTheDeviceItsNormalisation() {
    try (Cema cema = (Cema) Adapters.parse("cema" + LEARNING)) {
      cema.withTeacher(teacher).start(model, null);
      for (Tensor batch : stream) {
        cema.adapt(batch).close();
      }
      assertThat(cema.trained()).containsExactly("norm.weight", "norm.bias");
      Tensor moved =
          cema.model()
              .as(Capabilities.Differentiable.class)
              .orElseThrow()
              .parameters()
              .get("norm.weight");
      assertThat(Tensors.floats(moved))
          .isNotEqualTo(Tensors.floats(model.parameters().get("norm.weight")));
      // Two steps, of teacher and student, for each eight of the 96 rows.
      assertThat(cema.usage().updates()).isEqualTo(24);
      assertThat(cema.usage().reliable()).isEqualTo(96);
      assertThat(cema.traffic().uploads()).isEqualTo(6);
      assertThat(cema.traffic().sent()).isGreaterThan(96 * 36 * 4);
    }
  }

  @Test
  void whenNothingIsUploadedTheCloudLearnsFromWhatItHas() {
    Cema.Settings settings = ((Cema) Adapters.parse("cema" + LEARNING)).settings();
    try (CemaCloud cloud = new CemaCloud(settings, model, teacher)) {
      assertThat(cloud.answer(upload(stream.get(0))).kind()).isEqualTo(Message.Kind.UPDATE);
      cloud.answer(upload(stream.get(1)));
      long updates = cloud.updates();
      Message empty = Message.of(Message.Kind.UPLOAD, Map.of("batch", 3, "version", 0));
      Message answer = cloud.answer(empty);
      assertThat(answer.kind()).isEqualTo(Message.Kind.UPDATE);
      // The student alone.
      assertThat(cloud.updates()).isEqualTo(updates + 1);
    }
  }

  @Test
  void afterTenBatchesTheDeviceIsRefreshedEveryKBatches() {
    Cema.Settings settings = ((Cema) Adapters.parse("cema" + LEARNING + ":refresh=4")).settings();
    try (CemaCloud cloud = new CemaCloud(settings, model, teacher)) {
      StringBuilder seen = new StringBuilder();
      for (int i = 0; i < 20; i++) {
        boolean update = cloud.answer(upload(stream.get(0))).kind() == Message.Kind.UPDATE;
        seen.append(update ? 'u' : '.');
      }
      assertThat(seen).hasToString("uuuuuuuuu.u...u...u.");
    }
  }

  @Test
  void oldAnswersDoNotReplaceNewOnes() {
    Cema.Settings settings = ((Cema) Adapters.parse("cema" + LEARNING)).settings();
    try (CemaCloud cloud = new CemaCloud(settings, model, teacher);
        CemaDevice device = new CemaDevice(settings, model)) {
      Message one = Frames.decode(Frames.encode(cloud.answer(upload(stream.get(0)))));
      Message two = Frames.decode(Frames.encode(cloud.answer(upload(stream.get(1)))));
      device.receive(two);
      long version = device.version();
      float[] newest = Tensors.floats(device.predict(stream.get(2)).logits());
      device.receive(one);
      assertThat(device.version()).isEqualTo(version);
      assertThat(Tensors.floats(device.predict(stream.get(2)).logits())).isEqualTo(newest);
    }
  }

  @Test
  void anUpdateThatDoesNotFitChangesNothing() {
    try (CemaDevice device = new CemaDevice(Cema.Settings.defaults(), model)) {
      float[] before = Tensors.floats(device.predict(stream.get(0)).logits());
      Map<String, Tensor> bad = new LinkedHashMap<>(device.copy().shipped());
      bad.put("norm.weight", Tensors.of(new float[] {1, 2}, 2));
      Message update = new Message(Message.Kind.UPDATE, Map.of("version", 3), bad);
      assertThatThrownBy(() -> device.receive(update))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("norm.weight");
      Message other = new Message(Message.Kind.UPDATE, Map.of("version", 3), Map.of());
      assertThatThrownBy(() -> device.receive(other)).isInstanceOf(OutriggerException.class);
      assertThat(device.version()).isZero();
      assertThat(Tensors.floats(device.predict(stream.get(0)).logits())).isEqualTo(before);
    }
  }

  @Test
  void anUploadThatDoesNotFitChangesNothing() {
    Cema.Settings settings = ((Cema) Adapters.parse("cema" + LEARNING)).settings();
    try (CemaCloud cema = new CemaCloud(settings, model, teacher);
        UVpaCloud prompts = new UVpaCloud(UVpa.Settings.defaults(), model, teacher)) {
      Tensor nan = stream.get(0).clone();
      nan.flatten().narrow(0, 0, 1).fill_(Tensors.number(Double.NaN));
      for (CloudSession cloud : List.of(cema, prompts)) {
        for (Tensor bad : List.of(nan, stream.get(0).narrow(2, 0, 3))) {
          assertThatThrownBy(() -> cloud.answer(upload(bad)))
              .isInstanceOf(OutriggerException.class);
        }
        assertThat(cloud.updates()).isZero();
        assertThat(cloud.latest(0).kind()).isEqualTo(Message.Kind.IDLE);
      }
    }
  }

  @Test
  void modelsThatDoNotFitAreNamed() {
    try (NeuralModel plain =
            NeuralModel.create("mlp", Map.of("hidden", List.of(6)), new long[] {8}, 4, 1);
        NeuralModel other =
            NeuralModel.create("mlp", Map.of("hidden", List.of(6)), new long[] {8}, 3, 1);
        Cema cema = new Cema();
        UVpa prompts = new UVpa()) {
      assertThatThrownBy(() -> cema.start(plain, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("normalisation layers");
      assertThatThrownBy(() -> prompts.start(plain, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("a dropout layer");
      assertThatThrownBy(() -> cema.withTeacher(other).start(model, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("3 classes");
      assertThatThrownBy(() -> prompts.withTeacher(other).start(model, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("3 classes");
    }
  }

  @Test
  void aTeacherWithoutNormalisationTeachesAsItIs() {
    try (NeuralModel plain =
            NeuralModel.create("mlp", Map.of("hidden", List.of(6)), new long[] {1, 6, 6}, 4, 1);
        Cema cema = (Cema) Adapters.parse("cema" + LEARNING)) {
      cema.withTeacher(plain).start(model, null);
      cema.adapt(stream.get(0)).close();
      assertThat(cema.usage().updates()).isEqualTo(2);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"dense", "sparse:rho=0.2", "border"})
  void aPromptBringsTheDeviceTowardsTheTeacher(String form) {
    UVpa.Settings settings =
        ((UVpa)
                Adapters.parse(
                    "u-vpa:rate=0:steps=30:promptRate=0.05:weighted=false:restart=false:form="
                        + form))
            .settings();
    Tensor rows = stream.get(1);
    try (UVpaCloud cloud = new UVpaCloud(settings, model, teacher);
        UVpaDevice device = new UVpaDevice(settings, model);
        Output label = teacher.predict(rows)) {
      Tensor target = torch.softmax(label.logits(), 1);
      double before = UVpa.loss(device.predict(rows).logits(), target).mean().item_float();
      Message prompt = cloud.answer(upload(rows));
      device.receive(Frames.decode(Frames.encode(prompt)));
      double after = UVpa.loss(device.predict(rows).logits(), target).mean().item_float();
      assertThat(after).isLessThan(before);
    }
  }

  @Test
  void tokensArePromptsOfAVisionTransformer() {
    Map<String, Object> small =
        Map.of("patch", 3, "width", 8, "depth", 1, "heads", 2, "dropout", 0.2);
    try (NeuralModel vit = NeuralModel.create("vit", small, new long[] {1, 6, 6}, 4, 3);
        Adapter adapter = Adapters.parse("u-vpa:form=tokens:rate=0.1:restart=false");
        Adapter dense = Adapters.parse("u-vpa:form=tokens")) {
      ((UVpa) adapter).withTeacher(teacher).start(vit, null);
      float[] first = Tensors.floats(adapter.adapt(stream.get(0)).logits());
      float[] second = Tensors.floats(adapter.adapt(stream.get(0)).logits());
      assertThat(second).isNotEqualTo(first);
      assertThatThrownBy(() -> dense.start(model, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("vision transformer");
    }
  }

  @Test
  void anAdaptedNetworkCanBeSavedAndOpenedAgain(@TempDir Path folder) {
    Path file = folder.resolve("adapted.safetensors");
    try (NeuralModel resnet = NeuralModel.create("resnet8", Map.of(), new long[] {1, 6, 6}, 4, 3);
        Adapter adapter = Adapters.parse("cema" + LEARNING)) {
      adapter.start(resnet, null);
      run(adapter, 3);
      ((NeuralModel) adapter.model()).save(file);
      try (NeuralModel opened = NeuralModel.load(file)) {
        assertThat(Tensors.floats(opened.predict(stream.get(0)).logits()))
            .isEqualTo(Tensors.floats(adapter.model().predict(stream.get(0)).logits()));
      }
    }
  }

  @Test
  void servedPredictionsAreWithoutDropout() {
    try (UVpaDevice device = new UVpaDevice(UVpa.Settings.defaults(), model)) {
      Tensor rows = stream.get(0);
      float[] one = Tensors.floats(device.predict(rows).logits());
      device.uncertainty(rows);
      assertThat(Tensors.floats(device.predict(rows).logits())).isEqualTo(one);
      assertThat(one).isEqualTo(Tensors.floats(model.predict(rows).logits()));
      assertThat(device.uncertainty(rows).min().item_float()).isPositive();
    }
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    for (String bad :
        List.of(
            "passes=1",
            "fraction=0",
            "rate=1.5",
            "scale=-1",
            "promptRate=0",
            "steps=0",
            "rho=0",
            "border=0",
            "tokens=0",
            "modelRate=-1",
            "restore=2")) {
      assertThatThrownBy(() -> Methods.parse(Adapter.class, "u-vpa:" + bad))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(bad.substring(0, bad.indexOf('=')))
          .hasMessageContaining("out of range");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"cema" + LEARNING, "u-vpa:passes=2:steps=2"})
  void memoryDoesNotGrow(String stack) {
    try (Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, null);
      run(adapter, 20);
      long before = Pointer.totalCount();
      run(adapter, 60);
      assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before + 8);
    }
  }

  private void run(Adapter adapter, int batches) {
    for (int i = 0; i < batches; i++) {
      try (PointerScope inner = new PointerScope();
          Output output = adapter.adapt(stream.get(i % stream.size()))) {
        assertThat(output.size()).isEqualTo(16);
      }
    }
  }
}
