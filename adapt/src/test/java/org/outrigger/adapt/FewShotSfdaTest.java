package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.adapt.FewShotSfda.Settings;
import org.outrigger.adapt.FewShotSfda.Strategy;
import org.outrigger.adapt.FineTuner.Part;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BottleneckHead;
import org.outrigger.core.nn.WeightNormLinear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Few-shot fine-tuning: which rows, which parameters, which checkpoint. */
class FewShotSfdaTest {
  private PointerScope scope;
  private NeuralModel images;
  private NeuralModel rows;
  private TensorDataset pictures;
  private TensorDataset points;

  @TempDir Path folder;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    images = NeuralModel.create("resnet8", Map.of("width", 4), new long[] {1, 8, 8}, 3, 1);
    rows = NeuralModel.create("mlp", Map.of("hidden", List.of(8)), new long[] {4}, 3, 1);
    try (Rng rng = new Rng(2)) {
      rows.root().replace("head", new BottleneckHead(8, 6, 3, rng)).close();
      pictures = data(rng, 1, 8, 8);
      points = data(rng, 4);
    }
  }

  @AfterEach
  void close() {
    images.close();
    rows.close();
    pictures.close();
    points.close();
    scope.close();
  }

  /** 30 rows of three classes, and three of none. */
  private static TensorDataset data(Rng rng, long... shape) {
    long[] all = new long[shape.length + 1];
    all[0] = 33;
    System.arraycopy(shape, 0, all, 1, shape.length);
    int[] labels = IntStream.range(0, 33).map(i -> i < 30 ? i % 3 : -1).toArray();
    Tensor x = rng.normal(all);
    for (int i = 0; i < 33; i++) {
      x.select(0, i).flatten().select(0, Math.max(0, labels[i])).add_(new Scalar(3.0));
    }
    return TensorDataset.of(x, Tensors.labels(labels));
  }

  private static Settings settings(Object... changes) {
    Map<String, Object> map =
        new LinkedHashMap<>(
            Map.of(
                "k", 2, "stepsLp", 6, "stepsFt", 7, "batch", 4, "valFreq", 3, "lrLp", 0.01, "lrFt",
                0.01));
    for (int i = 0; i < changes.length; i += 2) {
      map.put((String) changes[i], changes[i + 1]);
    }
    return Methods.create(FewShotSfda.class, "few-shot-sfda", map).settings();
  }

  private static Map<String, double[]> weights(NeuralModel model) {
    Map<String, double[]> weights = new LinkedHashMap<>();
    model.root().stateDict().forEach((name, tensor) -> weights.put(name, Tensors.doubles(tensor)));
    return weights;
  }

  private static Set<String> moved(NeuralModel before, NeuralModel after) {
    Map<String, double[]> old = weights(before);
    Set<String> moved = new HashSet<>();
    weights(after)
        .forEach(
            (name, values) -> {
              if (!Arrays.equals(values, old.get(name))) {
                moved.add(name);
              }
            });
    return moved;
  }

  // -- the shots

  @Test
  void shotsAreBalancedDisjointAndDrawnBySeed() {
    FewShots shots = FewShots.draw(points, 3, 2, 0.2, 5);
    assertThat(shots.train()).hasSize(6);
    assertThat(shots.train().stream().map(points::label).toList())
        .containsExactly(0, 0, 1, 1, 2, 2);
    assertThat(shots.validation().stream().map(points::label).toList()).containsExactly(0, 1, 2);
    assertThat(shots.test()).hasSize(6).doesNotContainAnyElementsOf(shots.pool());
    assertThat(shots.pool()).hasSize(24).containsAll(shots.train());
    assertThat(shots.train())
        .doesNotContainAnyElementsOf(shots.validation())
        .doesNotHaveDuplicates();
    assertThat(shots.pool()).allMatch(row -> points.label(row) >= 0);
    assertThat(FewShots.draw(points, 3, 2, 0.2, 5)).isEqualTo(shots);
    assertThat(FewShots.draw(points, 3, 2, 0.2, 6)).isNotEqualTo(shots);
    assertThat(FewShots.draw(points, 3, 9, 0, 5).test()).isEmpty();
  }

  @Test
  void tooFewRowsOfAClassAreNamed() {
    assertThatThrownBy(() -> FewShots.draw(points, 3, 10, 0, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("10 labelled rows of class 0")
        .hasMessageContaining("11 are needed");
    assertThatThrownBy(() -> FewShots.draw(points, 3, 8, 0.2, 0))
        .hasMessageContaining("8 of them outside the test part");
    assertThatThrownBy(() -> FewShots.draw(points, 4, 1, 0, 0)).hasMessageContaining("class 3");
    assertThatThrownBy(() -> FewShots.draw(points, 2, 1, 0, 0))
        .hasMessageContaining("label 2")
        .hasMessageContaining("0 to 1");
    assertThatThrownBy(() -> FewShots.draw(points, 3, 0, 0, 0)).hasMessageContaining("k = 0");
    try (TensorDataset bare = TensorDataset.of(points.inputs(), null)) {
      assertThatThrownBy(() -> FewShots.draw(bare, 3, 1, 0, 0)).hasMessageContaining("no labels");
    }
  }

  // -- what moves

  @ParameterizedTest
  @EnumSource(Strategy.class)
  void aStrategyMovesItsPartAndLeavesTheSourceAlone(Strategy strategy) {
    images.root().freeze("conv1");
    Map<String, double[]> before = weights(images);
    try (FewShotResult result =
        new FewShotSfda(settings("strategy", strategy)).adapt(images, pictures)) {
      Set<String> moved = moved(result.source(), result.last());
      assertThat(weights(images)).usingRecursiveComparison().isEqualTo(before);
      assertThat(images.root().trainable()).doesNotContainKey("conv1.weight");
      assertThat(result.model().root().trainable().keySet())
          .isEqualTo(images.root().trainable().keySet());
      assertThat(moved).doesNotContain("conv1.weight");
      boolean head = strategy != Strategy.BN && strategy != Strategy.FEAT;
      boolean norms = strategy != Strategy.LP;
      boolean kernels =
          strategy == Strategy.FT || strategy == Strategy.LP_FT || strategy == Strategy.FEAT;
      assertThat(moved.contains("fc.weight")).isEqualTo(head);
      assertThat(moved.contains("bn1.weight")).isEqualTo(norms);
      assertThat(moved.contains("bn1.running_mean")).isEqualTo(norms);
      assertThat(moved.contains("layer1.0.conv1.weight")).isEqualTo(kernels);
    }
  }

  @Test
  void namedNormsAloneMove() {
    try (FewShotResult result =
        new FewShotSfda(settings("strategy", Strategy.BN, "norms", List.of("layer1.0.bn1")))
            .adapt(images, pictures)) {
      assertThat(moved(result.source(), result.last()))
          .isNotEmpty()
          .allMatch(name -> name.startsWith("layer1.0.bn1."));
    }
    // The bottleneck's norm is over rows, which the strategy does not mean by itself.
    assertThatThrownBy(() -> new FewShotSfda(settings("strategy", Strategy.BN)).adapt(rows, points))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("norms part has no parameter");
    assertThatThrownBy(
            () ->
                new FewShotSfda(settings("strategy", Strategy.BN, "norms", List.of("nope")))
                    .adapt(images, pictures))
        .hasMessageContaining("no batch norm 'nope'")
        .hasMessageContaining("layer1.0.bn1");
  }

  // -- which checkpoint

  @Test
  void theEarliestLowestValidationLossOfTheLastStageIsChosen() {
    try (FewShotResult result = new FewShotSfda(settings()).adapt(rows, points)) {
      List<FewShotResult.Point> curve = result.curve();
      assertThat(curve.stream().map(FewShotResult.Point::step))
          .containsExactly(0L, 3L, 6L, 9L, 12L, 13L);
      FewShotResult.Point best = null;
      for (FewShotResult.Point point : curve) {
        if (point.stage() == Part.ALL && (best == null || point.loss() < best.loss())) {
          best = point;
        }
      }
      assertThat(result.selected()).isEqualTo(best);
      assertThat(result.tests().keySet()).containsExactly("source", "after LP", "last", "selected");
      // The head alone moved in the first stage; the batch norm kept what it knew.
      assertThat(moved(result.source(), result.afterLp()))
          .isNotEmpty()
          .allMatch(name -> name.startsWith("head.fc."));
      if (result.selected().step() == 13) {
        assertThat(moved(result.last(), result.model())).isEmpty();
      } else {
        assertThat(moved(result.last(), result.model())).isNotEmpty();
      }
    }
  }

  @Test
  void fineTuningLearnsTheTarget() {
    try (FewShotResult result =
        new FewShotSfda(settings("k", 4, "stepsLp", 60, "stepsFt", 60, "lrLp", 0.03))
            .adapt(rows, points)) {
      assertThat(result.selected().loss()).isLessThan(result.curve().get(0).loss());
      assertThat(result.tests().get("selected").accuracy())
          .isGreaterThan(result.tests().get("source").accuracy());
    }
  }

  @Test
  void sameSeedSameModelAndAnotherSeedAnother() {
    try (FewShotResult one = new FewShotSfda(settings("sam", true)).adapt(rows, points);
        FewShotResult same = new FewShotSfda(settings("sam", true)).adapt(rows, points);
        FewShotResult other =
            new FewShotSfda(settings("sam", true, "seed", 1)).adapt(rows, points)) {
      assertThat(moved(one.model(), same.model())).isEmpty();
      assertThat(one.curve()).isEqualTo(same.curve());
      assertThat(moved(one.model(), other.model())).isNotEmpty();
    }
  }

  @Test
  void augmentationChangesTheShotsAlone() {
    FewShotSfda plain = new FewShotSfda(settings());
    FewShotSfda changed = plain.augment((x, rng) -> x.add(rng.normal(x.shape())));
    try (FewShotResult one = plain.adapt(rows, points);
        FewShotResult other = changed.adapt(rows, points)) {
      assertThat(other.curve().get(0)).isEqualTo(one.curve().get(0));
      assertThat(moved(one.last(), other.last())).isNotEmpty();
    }
    assertThat(FewShotSfda.photographs()).isNotNull();
  }

  // -- sharpness-aware steps

  @Test
  void theClimbHasTheLengthRhoAndTheStepStartsWhereTheWeightsWere() {
    Map<String, Tensor> gradients =
        Map.of(
            "a", Tensors.of(new double[] {3, 0}, 2),
            "b", Tensors.of(new double[] {0, 4}, 1, 2));
    Map<String, Tensor> climb = FineTuner.ascent(gradients, 0.5);
    assertThat(Tensors.doubles(climb.get("a")))
        .containsExactly(new double[] {0.3, 0}, within(1e-12));
    assertThat(Tensors.doubles(climb.get("b")))
        .containsExactly(new double[] {0, 0.4}, within(1e-12));
    Tensor x = points.inputs().narrow(0, 0, 6);
    Tensor y = Tensors.labels(0, 1, 2, 0, 1, 2);
    // A learning rate of next to nothing leaves the weights, however far the climb goes.
    FineTuner.Settings still =
        new FineTuner.Settings(Part.ALL, FineTuner.Rule.SGD, 1e-30, 0, 0, 10, List.of());
    try (NeuralModel copy = rows.deepCopy();
        FineTuner tuner = new FineTuner(copy, still)) {
      tuner.step(x, y);
      assertThat(moved(rows, copy)).allMatch(name -> name.contains("bn.") && !name.endsWith("ght"));
      // Both passes counted.
      assertThat(copy.buffers().get("head.bn.num_batches_tracked").item_long()).isEqualTo(2);
    }
  }

  // -- files

  @Test
  void modelsAndReportAreWrittenAndComeBack() throws Exception {
    Path out = folder.resolve("adapted");
    try (FewShotResult result = new FewShotSfda(settings()).adapt(rows, points)) {
      result.save(out);
      result.save(out);
      try (NeuralModel loaded = NeuralModel.load(out.resolve("selected.safetensors"))) {
        assertThat(moved(result.model(), loaded)).isEmpty();
      }
      assertThat(out.resolve("after-lp.safetensors")).exists();
      assertThat(Files.readString(out.resolve("adaptation.json")))
          .contains("selectedStep", "\"curve\"", "\"train\"", "\"strategy\"");
      Path other = Files.createDirectory(folder.resolve("other"));
      Files.writeString(other.resolve("thesis.txt"), "mine");
      assertThatThrownBy(() -> result.save(other)).isInstanceOf(OutriggerException.class);
      assertThat(other.resolve("thesis.txt")).exists();
    }
  }

  // -- bad input

  @Test
  void whatCannotBeTrainedIsRefusedBeforeAnything() {
    assertThatThrownBy(() -> settings("k", 0)).hasMessageContaining("k = 0");
    assertThatThrownBy(() -> settings("holdout", 1.0)).hasMessageContaining("holdout");
    assertThatThrownBy(() -> settings("lrFt", 0)).hasMessageContaining("lrFt");
    assertThatThrownBy(() -> Strategy.of("lp-fit")).hasMessageContaining("lp-ft");
    assertThat(Strategy.of("LP-FT")).isEqualTo(Strategy.LP_FT);
    FewShotSfda single = new FewShotSfda(settings("batch", 1));
    assertThatThrownBy(() -> single.adapt(rows, points)).hasMessageContaining("batch = 1");
    try (FewShotResult head =
        new FewShotSfda(settings("batch", 1, "strategy", Strategy.LP)).adapt(rows, points)) {
      assertThat(head.afterLp()).isNull();
    }
    rows.root().freeze("*");
    assertThatThrownBy(() -> new FewShotSfda(settings()).adapt(rows, points))
        .hasMessageContaining("not frozen");
  }

  @Test
  void weightsWithoutDirectionAndRowsThatAreNotFiniteAreRefused() {
    Tensor bad = points.inputs().clone();
    bad.fill_(new Scalar(Double.NaN));
    try (TensorDataset broken =
        TensorDataset.builder(bad)
            .labels(Tensors.labels(points.labels()))
            .skipNotFinite(false)
            .build()) {
      assertThatThrownBy(() -> new FewShotSfda(settings()).adapt(rows, broken))
          .isInstanceOf(OutriggerException.class);
    }
    ((WeightNormLinear) rows.lastLayer()).tensor("weight_v").detach().zero_();
    assertThatThrownBy(() -> new FewShotSfda(settings()).adapt(rows, points))
        .hasMessageContaining("no direction");
  }

  @Test
  void aLossThatExplodesIsAnError() {
    Tensor huge = points.inputs().mul(new Scalar(1e30)).to(ScalarType.Float);
    try (TensorDataset extreme = TensorDataset.of(huge, Tensors.labels(points.labels()))) {
      assertThatThrownBy(
              () ->
                  new FewShotSfda(settings("lrFt", 1e30, "strategy", "FT"))
                      .adapt(images(), extreme))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("lower the learning rate");
    }
  }

  private NeuralModel images() {
    return NeuralModel.create("mlp", Map.of("hidden", List.of(8)), new long[] {4}, 3, 1);
  }

  @Test
  void stepsKeepMemoryFlat() {
    FineTuner.Settings settings =
        new FineTuner.Settings(Part.ALL, FineTuner.Rule.ADAM, 1e-3, 0, 0, 0.05, List.of());
    Tensor x = points.inputs().narrow(0, 0, 6);
    Tensor y = Tensors.labels(0, 1, 2, 0, 1, 2);
    try (NeuralModel copy = rows.deepCopy();
        FineTuner tuner = new FineTuner(copy, settings)) {
      long before = 0;
      for (int i = 0; i < 60; i++) {
        if (i == 10) {
          before = Pointer.totalBytes();
        }
        Scopes.run(() -> tuner.step(x, y));
      }
      assertThat(Pointer.totalBytes() - before).isLessThan(2_000);
    }
  }
}
