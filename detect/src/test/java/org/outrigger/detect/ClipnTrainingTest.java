package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.DualEncoder;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.core.zoo.ClipConfig;
import org.outrigger.detect.ClipnTraining.Losses;
import org.outrigger.detect.ClipnTraining.Settings;

class ClipnTrainingTest {
  private static final int END = 11;

  @TempDir Path folder;
  private PointerScope scope;
  private DualEncoder clip;
  private Tensor images;
  private Tensor tokens;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    ClipConfig config =
        new ClipConfig(
            new ClipConfig.Encoder(8, 16, 1, 2, "quick_gelu", 1e-5),
            new ClipConfig.Encoder(8, 16, 1, 2, "quick_gelu", 1e-5),
            8,
            4,
            1,
            12,
            5,
            END,
            6);
    clip = DualEncoder.create(config, 3);
    try (Rng rng = new Rng(2)) {
      images = rng.normal(6, 1, 8, 8);
    }
    long[] captions = new long[18];
    for (int i = 0; i < 6; i++) {
      captions[3 * i] = 10;
      captions[3 * i + 1] = i;
      captions[3 * i + 2] = END;
    }
    tokens = Tensors.of(captions, 6, 3);
  }

  @AfterEach
  void close() {
    clip.close();
    scope.close();
  }

  private static Settings settings(long steps) {
    return Settings.defaults().withLearningRate(3e-3).withSteps(steps).withPrompts(4);
  }

  private static Map<String, double[]> values(Map<String, Tensor> tensors) {
    Map<String, double[]> values = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> values.put(name, Tensors.doubles(tensor)));
    return values;
  }

  @Test
  void itStartsAsACopyThatSaysYes() {
    try (ClipnTraining training = new ClipnTraining(clip, settings(5))) {
      assertThat(Tensors.doubles(training.negated().texts(tokens)))
          .containsExactly(Tensors.doubles(clip.texts(tokens)));
      assertThat(Tensors.doubles(training.negated().tensor("prompts"))).containsOnly(0);
      assertThat(training.negated().tensor("prompts").shape()).containsExactly(4, 5, 8);
      Losses first = training.step(images, tokens);
      assertThat(first.yes()).isCloseTo(Math.log(2), within(1e-5));
      assertThat(first.no()).isCloseTo(Math.log(2), within(1e-5));
      assertThat(first.opposite()).isCloseTo(1.99, within(1e-3));
    }
  }

  @Test
  void allPartsFallAndTheModelStaysAsItWas() {
    Map<String, double[]> image = values(clip.image().stateDict());
    Map<String, double[]> text = values(clip.text().stateDict());
    try (ClipnTraining training = new ClipnTraining(clip, settings(40))) {
      Losses first = training.step(images, tokens);
      Losses last = first;
      while (training.steps() < 40) {
        last = training.step(images, tokens);
      }
      assertThat(last.total()).isLessThan(first.total());
      assertThat(last.opposite()).isLessThan(first.opposite());
      assertThat(Tensors.doubles(training.negated().tensor("prompts")))
          .isNotEqualTo(new double[160]);
    }
    values(clip.image().stateDict()).forEach((n, v) -> assertThat(v).as(n).isEqualTo(image.get(n)));
    values(clip.text().stateDict()).forEach((n, v) -> assertThat(v).as(n).isEqualTo(text.get(n)));
    clip.image().parameters().values().forEach(p -> assertThat(p.grad().defined()).isFalse());
    clip.text().parameters().values().forEach(p -> assertThat(p.grad().defined()).isFalse());
  }

  @Test
  void decayShrinksMatricesAndPromptsOnly() {
    Settings still = new Settings(4, 1e-12, 0.9, 0.98, 1e-6, 0.5e11, 0.5, 1e-4, 0, false, 10, 0);
    try (ClipnTraining training = new ClipnTraining(clip, still)) {
      Map<String, double[]> before = values(training.negated().stateDict());
      training.step(images, tokens);
      Map<String, Tensor> after = training.negated().stateDict();
      before.forEach(
          (name, old) -> {
            Tensor now = after.get(name);
            double factor = now.dim() > 1 ? 0.95 : 1;
            double[] expected = java.util.Arrays.stream(old).map(v -> v * factor).toArray();
            assertThat(Tensors.doubles(now)).as(name).containsExactly(expected, within(1e-6));
          });
    }
  }

  @Test
  void aTextGetsOneRowOfPromptsOrTheirMean() {
    try (NegatedText negated = NegatedText.of(clip.text(), 2)) {
      Tensor prompts = negated.tensor("prompts").detach();
      prompts.select(0, 0).fill_(new Scalar(0.4));
      prompts.select(0, 1).narrow(1, 0, 3).fill_(new Scalar(-0.8));
      Tensor same = tokens.narrow(0, 0, 1).repeat(3, 1);
      Tensor rows = negated.forward(same, Tensors.labels(0, 1, 2));
      assertThat(Tensors.doubles(rows.select(0, 2)))
          .containsExactly(Tensors.doubles(negated.texts(tokens.narrow(0, 0, 1))), within(1e-6));
      assertThat(Tensors.doubles(rows.select(0, 0)))
          .isNotEqualTo(Tensors.doubles(rows.select(0, 1)));
      assertThatThrownBy(() -> negated.forward(same, Tensors.labels(0, 1, 3)))
          .isInstanceOf(OutriggerException.class);
    }
  }

  private TensorDataset data() {
    return TensorDataset.builder(images).name("pictures").build();
  }

  @Test
  void aRunThatWasSavedContinuesToTheLastBit() {
    List<Losses> straight = new ArrayList<>();
    List<Losses> broken = new ArrayList<>();
    Path file = folder.resolve("run.safetensors");
    try (TensorDataset data = data();
        ClipnTraining whole = new ClipnTraining(clip, settings(9));
        ClipnTraining part = new ClipnTraining(clip, settings(9));
        ClipnTraining rest = new ClipnTraining(clip, settings(9))) {
      whole.fit(data, tokens, 3, straight::add);
      try {
        part.fit(
            data,
            tokens,
            3,
            losses -> {
              broken.add(losses);
              if (losses.step() == 4) {
                throw new IllegalStateException("stop");
              }
            });
      } catch (IllegalStateException stop) {
        StateFiles.write(file, part.state());
      }
      Scopes.run(() -> rest.restore(StateFiles.read(file)));
      assertThat(rest.steps()).isEqualTo(5);
      rest.fit(data, tokens, 3, broken::add);
      assertThat(broken).isEqualTo(straight).hasSize(9);
      Map<String, double[]> expected = values(whole.negated().stateDict());
      values(rest.negated().stateDict())
          .forEach((name, v) -> assertThat(v).as(name).isEqualTo(expected.get(name)));
    }
  }

  @Test
  void anotherRunsStateIsRefusedAndChangesNothing() {
    try (ClipnTraining training = new ClipnTraining(clip, settings(9));
        ClipnTraining other = new ClipnTraining(clip, settings(8))) {
      training.step(images, tokens);
      Map<String, double[]> before = values(training.negated().stateDict());
      assertThatThrownBy(() -> training.restore(other.state()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("steps");
      State good = training.state();
      State bare = new State(good.type(), 1, good.values(), Map.of());
      assertThatThrownBy(() -> training.restore(bare)).isInstanceOf(OutriggerException.class);
      assertThat(training.steps()).isEqualTo(1);
      values(training.negated().stateDict())
          .forEach((name, v) -> assertThat(v).as(name).isEqualTo(before.get(name)));
    }
  }

  @Test
  void theTowerIsSavedByItself() {
    Path file = folder.resolve("no.safetensors");
    try (ClipnTraining training = new ClipnTraining(clip, settings(3))) {
      training.step(images, tokens);
      StateFiles.write(file, training.negated().state());
      try (NegatedText read = NegatedText.restored(clip.text(), StateFiles.read(file))) {
        assertThat(read.prompts()).isEqualTo(4);
        assertThat(Tensors.doubles(read.texts(tokens)))
            .containsExactly(Tensors.doubles(training.negated().texts(tokens)));
      }
    }
  }

  @Test
  void captionsNegatedByHandNeedNoPrompts() {
    try (ClipnTraining training = new ClipnTraining(clip, settings(3).withPrompts(0))) {
      assertThat(training.negated().stateDict()).doesNotContainKey("prompts");
      Tensor negated = tokens.clone();
      negated.select(1, 0).fill_(new Scalar(9));
      Losses first = training.step(images, tokens, negated);
      assertThat(first.opposite()).isLessThan(1.99);
    }
  }

  @Test
  void ofPairsWithTheSameCaptionTheFirstIsUsed() {
    Tensor twice = torch.cat(new TensorVector(tokens.narrow(0, 2, 2), tokens), 0);
    assertThat(Tensors.longs(ClipnTraining.distinct(twice))).containsExactly(0, 1, 2, 3, 6, 7);
  }

  @Test
  void memoryDoesNotGrowWithTheNumberOfSteps() {
    Tensor many = images.repeat(20, 1, 1, 1);
    Tensor captions = tokens.repeat(20, 1);
    try (ClipnTraining training = new ClipnTraining(clip, settings(400))) {
      for (int i = 0; i < 60; i++) {
        training.step(many, captions);
      }
      long before = Pointer.physicalBytes();
      for (int i = 0; i < 200; i++) {
        training.step(many, captions);
      }
      // A single value of a pass that stayed behind would come to more.
      assertThat(Pointer.physicalBytes() - before).isLessThan(30_000_000);
    }
  }

  @Test
  void whatCannotBeTrainedOnIsRefused() {
    try (ClipnTraining training = new ClipnTraining(clip, settings(3));
        TensorDataset data = data()) {
      assertThatThrownBy(() -> training.step(images.narrow(0, 0, 1), tokens.narrow(0, 0, 1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("two or more");
      assertThatThrownBy(() -> training.step(images, tokens.narrow(0, 0, 5)))
          .isInstanceOf(OutriggerException.class);
      assertThatThrownBy(() -> training.fit(data, tokens.narrow(0, 0, 5), 3, losses -> {}))
          .isInstanceOf(OutriggerException.class);
      assertThatThrownBy(() -> training.fit(data, tokens.narrow(0, 0, 1).repeat(6, 1), 3, x -> {}))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("two or more");
      assertThat(training.steps()).isZero();
    }
    assertThatThrownBy(() -> Settings.defaults().withSteps(0)).hasMessageContaining("steps");
  }
}
