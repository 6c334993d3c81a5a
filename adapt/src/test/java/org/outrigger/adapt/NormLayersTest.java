package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.Flatten;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.GroupNorm;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Torch;

/** The layers that take the place of batch normalisation, and the methods that are made of them. */
class NormLayersTest {
  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(3);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  /** A layer of four channels with statistics and weights that are not the initial ones. */
  private BatchNorm2d norm() {
    BatchNorm2d norm = new BatchNorm2d(4);
    norm.loadStateDict(
        Map.of(
            "weight", rng.uniform(4).add(new Scalar(0.5)),
            "bias", rng.normal(4),
            "running_mean", rng.normal(4),
            "running_var", rng.uniform(4).add(new Scalar(0.5))),
        true);
    norm.to(ScalarType.Double);
    norm.eval();
    return norm;
  }

  private Tensor maps(long rows) {
    return rng.normal(ScalarType.Double, rows, 4, 3, 3).mul(new Scalar(1.5)).add(new Scalar(0.3));
  }

  private static double apart(Tensor a, Tensor b) {
    return a.sub(b).abs().amax().item_double();
  }

  private UnMixNorm unmix(BatchNorm2d norm, int components) {
    UnMixTns.Settings settings = new UnMixTns.Settings(components, 0.07, 0.5, 64, 0);
    return new UnMixNorm(norm, settings, rng.normal(components, 4));
  }

  @Test
  void alphaIsTheSourceAtZeroAndTheBatchAtOne() {
    BatchNorm2d norm = norm();
    Tensor x = maps(5);
    assertThat(apart(new AlphaBatchNorm(norm, 0).forward(x), norm.forward(x))).isLessThan(1e-12);
    Tensor centred =
        new AlphaBatchNorm(norm, 1).forward(x).sub(norm.tensor("bias").view(1, 4, 1, 1));
    assertThat(centred.mean(new long[] {0, 2, 3}).abs().amax().item_double()).isLessThan(1e-12);
    Tensor spread = centred.std(new long[] {0, 2, 3}, true, false);
    assertThat(apart(spread, norm.tensor("weight").abs())).isLessThan(1e-4);
  }

  @Test
  void alphaRemembersNothing() {
    AlphaBatchNorm layer = new AlphaBatchNorm(norm(), 0.3);
    Tensor x = maps(4);
    Tensor first = layer.forward(x);
    layer.forward(maps(4));
    assertThat(layer.forward(x).equal(first)).isTrue();
  }

  @Test
  void robustStatisticsMoveInTrainingAloneAndNormaliseTheirOwnBatch() {
    BatchNorm2d norm = norm();
    RobustBatchNorm layer = new RobustBatchNorm(norm, 0.5);
    Tensor x = maps(4);
    layer.eval();
    assertThat(apart(layer.forward(x), norm.forward(x))).isLessThan(1e-12);
    assertThat(apart(layer.tensor("running_mean"), norm.tensor("running_mean"))).isZero();
    layer.train();
    Tensor y = layer.forward(x);
    layer.eval();
    assertThat(apart(layer.forward(x), y)).isLessThan(1e-12);
    Tensor half =
        norm.tensor("running_mean").add(x.mean(new long[] {0, 2, 3})).mul(new Scalar(0.5));
    assertThat(apart(layer.tensor("running_mean"), half)).isLessThan(1e-12);
  }

  @Test
  void instancesThatLieWithinChanceAreNormalisedAsUsual() {
    BatchNorm2d norm = norm();
    Tensor x = maps(6);
    InstanceAwareBatchNorm tolerant = new InstanceAwareBatchNorm(norm, 1e6, 0.01);
    InstanceAwareBatchNorm strict = new InstanceAwareBatchNorm(norm, 1e-9, 0.01);
    tolerant.eval();
    strict.eval();
    assertThat(apart(tolerant.forward(x), norm.forward(x))).isLessThan(1e-9);
    // Without tolerance each instance is normalised by itself.
    Tensor own =
        strict.forward(x).sub(norm.tensor("bias").view(1, 4, 1, 1)).mean(new long[] {2, 3});
    assertThat(own.abs().amax().item_double()).isLessThan(1e-6);
    Tensor points = rng.normal(ScalarType.Double, 6, 4, 1, 1);
    assertThat(apart(strict.forward(points), norm.forward(points))).isLessThan(1e-12);
  }

  @Test
  void oneComponentIsInstanceNormalisation() {
    BatchNorm2d norm = norm();
    UnMixNorm layer = unmix(norm, 1);
    assertThat(apart(layer.tensor(UnMixNorm.MEANS).select(0, 0), norm.tensor("running_mean")))
        .isZero();
    Tensor y = layer.forward(maps(3)).sub(norm.tensor("bias").view(1, 4, 1, 1));
    assertThat(y.mean(new long[] {2, 3}).abs().amax().item_double()).isLessThan(1e-9);
  }

  @Test
  void componentsSpreadSoThatTheirMixtureHasTheSourcesVariance() {
    BatchNorm2d norm = norm();
    UnMixNorm layer = unmix(norm, 4000);
    Tensor means = layer.tensor(UnMixNorm.MEANS);
    Tensor variance =
        means.var(new long[] {0}, false, false).add(layer.tensor(UnMixNorm.VARIANCES).mean(0));
    Tensor ratio = variance.div(norm.tensor("running_var"));
    assertThat(ratio.sub(new Scalar(1.0)).abs().amax().item_double()).isLessThan(0.1);
  }

  @Test
  void smallerBatchesMoveComponentsLess() {
    assertThat(UnMixNorm.rate(0.1, 64, 64)).isCloseTo(0.1, within(1e-12));
    assertThat(UnMixNorm.rate(0.1, 1, 64)).isCloseTo(0.001645, within(1e-6));
  }

  @Test
  void trainingAndEvaluationAreTheSameAndReplacedWeightsMoveNothing() {
    BatchNorm2d norm = norm();
    Tensor x = maps(5);
    UnMixNorm one = unmix(norm, 3);
    UnMixNorm two = (UnMixNorm) one.deepCopy();
    one.train();
    two.eval();
    assertThat(one.forward(x).equal(two.forward(x))).isTrue();
    Tensor before = one.tensor(UnMixNorm.MEANS).clone();
    one.forward(x, Map.of("weight", one.tensor("weight")));
    assertThat(one.tensor(UnMixNorm.MEANS).equal(before)).isTrue();
    one.forward(x);
    assertThat(one.tensor(UnMixNorm.MEANS).equal(before)).isFalse();
    assertThat(two.tensor(UnMixNorm.MEANS).equal(before)).isTrue();
  }

  @Test
  void pointsAndEmptyImagesAreNormalisedByTheComponents() {
    UnMixNorm layer = unmix(norm(), 3);
    Tensor points = rng.normal(ScalarType.Double, 2, 4, 1, 1);
    assertThat(layer.forward(points).isfinite().all().item_bool()).isTrue();
    Tensor nothing = points.zero_();
    assertThat(layer.forward(nothing).isfinite().all().item_bool()).isTrue();
    Tensor p = UnMixNorm.assignments(nothing.view(2, 4), layer.tensor(UnMixNorm.MEANS), 0.07);
    assertThat(p.sub(new Scalar(1 / 3.0)).abs().amax().item_double()).isLessThan(1e-12);
    assertThatThrownBy(() -> layer.forward(points.view(2, 4)))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void vectorsKeepTheSourcesStatisticsUnderUnmixing() {
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put("n", new BatchNorm2d(1));
    layers.put("flat", new Flatten());
    layers.put("v", new BatchNorm1d(9));
    layers.put("r", Activation.relu());
    layers.put("fc", new Linear(9, 3, rng));
    try (NeuralModel model =
        NeuralModel.of("m", new Sequential(layers), "fc", new long[] {1, 3, 3}, List.of())) {
      model.train(false);
      new UnMixTns().install(model);
      Layer frozen = model.root().get("v");
      assertThat(frozen).isInstanceOf(FrozenBatchNorm.class);
      Tensor x = rng.normal(8, 9);
      Tensor y = frozen.forward(x, ForwardContext.EVALUATION);
      frozen.train();
      assertThat(frozen.forward(x).equal(y)).isTrue();
      assertThat(frozen.forward(x, ForwardContext.BATCH_STATISTICS).equal(y)).isTrue();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"unmix-tns:K=3", "alpha-bn:a=0.4", "note:interval=8", "rotta:interval=8"})
  void anAdaptedNetworkIsSavedAndOpenedAgain(String name, @TempDir Path folder) {
    Path file = folder.resolve("model.safetensors");
    try (NeuralModel model = NeuralModel.create("resnet8", Map.of(), new long[] {1, 8, 8}, 3, 1);
        Adapter adapter = Adapters.parse(name)) {
      adapter.start(model, null);
      adapter.adapt(rng.uniform(16, 1, 8, 8)).close();
      ((NeuralModel) adapter.model()).save(file);
      Tensor x = rng.uniform(4, 1, 8, 8);
      try (NeuralModel again = NeuralModel.load(file);
          Output one = adapter.model().predict(x);
          Output two = again.predict(x)) {
        assertThat(again.root().describe())
            .isEqualTo(((NeuralModel) adapter.model()).root().describe());
        assertThat(two.logits().equal(one.logits())).isTrue();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"unmix-tns", "alpha-bn", "ema-bn", "note", "rotta"})
  void aNetworkWithoutBatchNormIsRefusedByName(String name) {
    Map<String, Layer> layers = new LinkedHashMap<>();
    layers.put("n", new GroupNorm(1, 1));
    layers.put("flat", new Flatten());
    layers.put("fc", new Linear(9, 3, rng));
    try (NeuralModel model =
            NeuralModel.of("plain", new Sequential(layers), "fc", new long[] {1, 3, 3}, List.of());
        Adapter adapter = Adapters.parse(name)) {
      assertThatThrownBy(() -> adapter.start(model, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(adapter.card().name())
          .hasMessageContaining("plain has none");
      assertThatThrownBy(() -> adapter.adapt(rng.normal(2, 1, 3, 3)))
          .hasMessageContaining("call start");
    }
  }

  @Test
  void layersAreReplacedOnceAndNeedAStart() {
    try (NeuralModel model = SmallWorld.model();
        Adapter first = new UnMixTns();
        Adapter second = new UnMixTns()) {
      first.start(model, null);
      assertThatThrownBy(() -> second.start(first.model(), null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("replaced already");
      model.root().replace("n2", new BatchNorm2d(8, 0.1, 1e-5, true, false)).close();
      assertThatThrownBy(() -> second.start(model, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("no running statistics");
      assertThatThrownBy(() -> new EmaBn().start(model, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("keeps none");
    }
  }

  @Test
  void whatReplacesLayersStandsBelow() {
    assertThatThrownBy(() -> Adapters.parse("unmix-tns/alpha-bn"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cannot be put over");
    assertThatThrownBy(() -> Adapters.parse("ema-bn/alpha-bn"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("stands alone");
  }

  @Test
  void singleImagesGoThroughMixturesAndComponents() {
    try (NeuralModel model = SmallWorld.model();
        Adapter tent = Adapters.parse("tent/unmix-tns:K=4");
        Adapter alpha = Adapters.parse("alpha-bn");
        Adapter ema = Adapters.parse("ema-bn")) {
      for (Adapter adapter : List.of(tent, alpha)) {
        adapter.start(model, null);
        assertThat(adapter.minimumBatch()).isEqualTo(1);
        adapter.adapt(rng.normal(1, 1, 6, 6)).close();
      }
      ema.start(model, null);
      assertThatThrownBy(() -> ema.adapt(rng.normal(1, 1, 6, 6)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("alpha-bn");
    }
  }

  @Test
  void emaMovesTheRunningStatisticsAndThenPredictsWithThem() {
    try (NeuralModel model = SmallWorld.model();
        NeuralModel byHand = model.deepCopy();
        Adapter ema = new EmaBn()) {
      ema.start(model, null);
      for (Tensor batch : SmallWorld.stream(3, 8)) {
        byHand.train(true);
        byHand.forward(batch);
        byHand.train(false);
        try (Output output = ema.adapt(batch);
            Output expected = byHand.predict(batch)) {
          assertThat(apart(output.logits(), expected.logits())).isLessThan(1e-6);
        }
      }
    }
  }

  @Test
  void badSettingsNameTheParameter() {
    assertThatThrownBy(() -> new UnMixTns.Settings(0, 0.07, 0.5, 64, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("K = 0");
    assertThatThrownBy(() -> new UnMixTns.Settings(4, 0, 0.5, 64, 0))
        .hasMessageContaining("temperature");
    assertThatThrownBy(() -> new UnMixTns.Settings(4, 0.07, 1, 64, 0))
        .hasMessageContaining("c = 1");
    assertThatThrownBy(() -> new AlphaBn.Settings(1.5)).hasMessageContaining("a = 1.5");
  }
}
