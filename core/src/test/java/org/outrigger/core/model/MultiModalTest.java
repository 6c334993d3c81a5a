package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities.HasModalities;
import org.outrigger.core.model.Capabilities.Modality;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.zoo.MultiModal;

/** Networks over several modalities. */
class MultiModalTest {
  private static final String PICTURE_AND_SOUND = "picture:1x8x8+sound:6";
  private static final Map<String, String> BOTH =
      Map.of("parts", PICTURE_AND_SOUND, "encoders", "resnet8:width=4+mlp:hidden=5");

  private static NeuralModel both(long seed) {
    return NeuralModel.create("multimodal", BOTH, new long[] {70}, 3, seed);
  }

  private static List<Modality> modalities(Model model) {
    return model.as(HasModalities.class).orElseThrow().modalities();
  }

  @Test
  void featuresAreTheEmbeddingsSideBySideAndEachHasAHead() {
    try (PointerScope scope = new PointerScope();
        NeuralModel model = both(1);
        Rng rng = new Rng(2)) {
      Tensor x = rng.normal(7, 70);
      Output output = model.predict(x, List.of("heads", "heads.sound"));
      assertThat(output.features().shape()).containsExactly(7, 21);
      assertThat(model.head().apply(output.features()).allclose(output.logits(), 1e-4, 1e-5, false))
          .isTrue();
      List<Modality> parts = modalities(model);
      assertThat(parts).extracting(Modality::name).containsExactly("picture", "sound");
      Tensor heads = output.maps().get("heads");
      Tensor own =
          torch.cat(
              new TensorVector(
                  parts.get(0).logits(output.features()), parts.get(1).logits(output.features())),
              1);
      assertThat(heads.allclose(own, 1e-4, 1e-5, false)).isTrue();
      assertThat(heads.narrow(1, 3, 3).equal(output.maps().get("heads.sound"))).isTrue();
      Tensor sound =
          model.root().get("encoders.sound").forward(x.narrow(1, 64, 6), ForwardContext.EVALUATION);
      assertThat(sound.equal(parts.get(1).embedding(output.features()))).isTrue();
      assertThat(model.offers()).contains(Need.MODALITIES, Need.LINEAR_HEAD, Need.NORM_LAYERS);
    }
    try (NeuralModel plain = NeuralModel.create("mlp", Map.of(), new long[] {4}, 3, 1)) {
      assertThat(plain.as(HasModalities.class)).isEmpty();
      assertThat(plain.offers()).doesNotContain(Need.MODALITIES);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "'', 5, 2-3",
    "'', 3x9x4, 48-60",
    "1x8x8+2x8x8, 3x8x8, 64-128",
    "a:3x2x8+b:3x5x8+c:3x1x8, 3x8x8, 48-120-24",
    "a:3x8x2+b:3x8x6, 3x8x8, 48-144",
    "2+3+1x2x2, 9, 2-3-4"
  })
  void inputsAreDividedAlongTheDimensionThatFits(String parts, String input, String widths) {
    long[] shape = sizes(input, "x");
    try (PointerScope scope = new PointerScope();
        NeuralModel model =
            NeuralModel.create(
                "multimodal", Map.of("parts", parts, "encoders", "none"), shape, 3, 1);
        Rng rng = new Rng(2)) {
      assertThat(modalities(model).stream().mapToLong(Modality::width))
          .containsExactlyElementsOf(java.util.Arrays.stream(sizes(widths, "-")).boxed().toList());
      long[] batch = new long[shape.length + 1];
      batch[0] = 4;
      System.arraycopy(shape, 0, batch, 1, shape.length);
      Tensor x = rng.normal(batch);
      // Without encoders every value is a feature.
      assertThat(model.predict(x).features().sum().item_double())
          .isCloseTo(x.sum().item_double(), org.assertj.core.api.Assertions.within(1e-3));
    }
  }

  private static long[] sizes(String text, String between) {
    return java.util.Arrays.stream(text.split(between, -1)).mapToLong(Long::parseLong).toArray();
  }

  @Test
  void aSavedOneSaysTheSameAndKeepsWhatIsFrozen(@TempDir Path folder) {
    Path file = folder.resolve("both.safetensors");
    try (PointerScope scope = new PointerScope();
        NeuralModel model = both(1);
        Rng rng = new Rng(2)) {
      ((MultiModal) model.root()).freezeEncoder("picture");
      model.save(file);
      try (NeuralModel loaded = (NeuralModel) ModelFiles.open(file);
          NeuralModel copy = model.deepCopy()) {
        Tensor x = rng.normal(3, 70);
        Tensor logits = model.predict(x).logits();
        assertThat(loaded.predict(x).logits().equal(logits)).isTrue();
        assertThat(copy.predict(x).logits().equal(logits)).isTrue();
        assertThat(loaded.root().trainable().keySet())
            .isEqualTo(model.root().trainable().keySet())
            .noneMatch(name -> name.startsWith("encoders.picture."));
      }
    }
  }

  @Test
  void aFrozenEncoderKeepsItsStatisticsUnlessToldOtherwise() {
    for (String mode : List.of("evaluation", "training")) {
      try (PointerScope scope = new PointerScope();
          NeuralModel model =
              NeuralModel.create(
                  "multimodal",
                  Map.of(
                      "parts",
                      PICTURE_AND_SOUND,
                      "encoders",
                      "resnet8:width=4+mlp:hidden=5",
                      "frozen",
                      mode),
                  new long[] {70},
                  3,
                  1);
          Rng rng = new Rng(2)) {
        ((MultiModal) model.root()).freezeEncoder("picture");
        model.train(true);
        Tensor before = model.buffers().get("encoders.picture.bn1.running_mean").clone();
        Output output =
            model.forward(rng.normal(6, 70), ForwardContext.AS_IS, List.of("encoders.picture.bn1"));
        Tensor after = model.buffers().get("encoders.picture.bn1.running_mean");
        assertThat(before.equal(after)).isEqualTo(mode.equals("evaluation"));
        assertThat(output.maps().get("encoders.picture.bn1").requires_grad()).isFalse();
        List<Tensor> gradients =
            Gradients.of(
                output.logits().sum(),
                List.of(
                    model.parameters().get("encoders.sound.fc1.weight"),
                    model.parameters().get("head.weight")),
                false);
        assertThat(gradients).allMatch(g -> g.abs().sum().item_double() > 0);
        // The gradient of an input goes through it all the same.
        Tensor x = rng.normal(6, 70).requires_grad_(true);
        Tensor gradient = Gradients.of(model.forward(x).logits().square().sum(), x);
        assertThat(gradient.narrow(1, 0, 64).abs().sum().item_double()).isGreaterThan(0);
      }
    }
  }

  @Test
  void settingsThatDoNotFitAreClearErrors() {
    refused(Map.of("parts", "2+2"), 5, "add up");
    refused(Map.of("parts", "5"), 5, "two or three");
    refused(Map.of("parts", "1+1+1+2"), 5, "two or three");
    refused(Map.of("parts", "a:2+a:3"), 5, "names that differ");
    refused(Map.of("parts", "a.b:2+c:3"), 5, "names");
    refused(Map.of("parts", "a:2+b:x"), 5, "write the shapes");
    refused(Map.of("parts", "2+3", "encoders", "mlp+mlp+mlp"), 5, "3 encoders for 2");
    refused(Map.of("parts", "2+3", "encoders", "lenett"), 5, "Did you mean lenet");
    refused(Map.of("parts", "2+3", "encoders", "mlp:hidden"), 5, "NAME:KEY=VALUE");
    refused(Map.of("parts", "2+3", "encoders", "multimodal"), 5, "multimodal itself");
    refused(Map.of("parts", "2+3", "encoders", "resnet8"), 5, "takes images");
    refused(Map.of("parts", "2+3", "frozen", "no"), 5, "evaluation or training");
    refused(Map.of(), 1, "not empty");
  }

  private static void refused(Map<String, String> settings, long columns, String why) {
    assertThatThrownBy(() -> NeuralModel.create("multimodal", settings, new long[] {columns}, 3, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining(why);
  }

  @Test
  void networksOfTheZooAreJoinedWithTheirWeightsAndCanBeSaved(@TempDir Path folder) {
    Path file = folder.resolve("joint.safetensors");
    try (PointerScope scope = new PointerScope();
        NeuralModel picture =
            NeuralModel.create("resnet8", Map.of("width", 4), new long[] {1, 8, 8}, 9, 3);
        NeuralModel sound =
            NeuralModel.create("mlp", Map.of("hidden", List.of(6, 5)), new long[] {6}, 2, 4);
        Rng rng = new Rng(2)) {
      Tensor x = rng.normal(4, 70);
      Tensor expected =
          torch.cat(
              new TensorVector(
                  picture.predict(x.narrow(1, 0, 64).reshape(4, 1, 8, 8)).features(),
                  sound.predict(x.narrow(1, 64, 6)).features()),
              1);
      sound.root().freeze("fc1");
      try (NeuralModel joint =
          new Fusion().add("picture", picture).add("sound", sound).build(3, 1)) {
        assertThat(joint.predict(x).features().equal(expected)).isTrue();
        assertThat(joint.root().parameters().get("encoders.sound.fc1.bias").requires_grad())
            .isFalse();
        joint.save(file);
        try (NeuralModel loaded = NeuralModel.load(file)) {
          assertThat(loaded.predict(x).logits().equal(joint.predict(x).logits())).isTrue();
        }
      }
    }
  }

  /** Stands for a model that is no network of ours: features are the rows times 2. */
  private static final class Foreign implements Model {
    boolean closed;

    @Override
    public String name() {
      return "foreign";
    }

    @Override
    public int classes() {
      return 2;
    }

    @Override
    public Output predict(Tensor inputs, List<String> maps) {
      return new Output(inputs.narrow(1, 0, 2).clone(), inputs.mul(new Scalar(2.0)));
    }

    @Override
    public Set<Need> offers() {
      return Set.of(Need.LOGITS, Need.FEATURES);
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  @Test
  void modelsOfAnyKindGiveFrozenFeatures(@TempDir Path folder) {
    Foreign foreign = new Foreign();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2);
        NeuralModel sound =
            NeuralModel.create("mlp", Map.of("hidden", List.of(5)), new long[] {6}, 2, 4)) {
      try (NeuralModel joint = new Fusion().add("a", foreign, 3).add("b", sound).build(4, 1)) {
        Tensor x = rng.normal(5, 9);
        joint.train(true);
        Output output = joint.forward(x);
        Modality first = modalities(joint).get(0);
        assertThat(first.embedding(output.features()).equal(x.narrow(1, 0, 3).mul(new Scalar(2.0))))
            .isTrue();
        assertThat(joint.parameters().keySet())
            .contains("encoders.b.fc1.weight", "heads.a.weight", "head.bias")
            .noneMatch(name -> name.startsWith("encoders.a"));
        assertThatThrownBy(() -> joint.save(folder.resolve("x")))
            .hasMessageContaining("cannot be saved");
        assertThatThrownBy(joint::deepCopy).hasMessageContaining("foreign");
      }
      assertThat(foreign.closed).isTrue();
      assertThatThrownBy(() -> new Fusion().add("a", new Foreign(), 0).add("b", sound).build(3, 1))
          .hasMessageContaining("any size");
    }
  }
}
