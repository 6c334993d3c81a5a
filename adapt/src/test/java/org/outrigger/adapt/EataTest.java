package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** The filters and the leash of EATA. */
class EataTest {
  private PointerScope scope;
  private NeuralModel model;
  private TensorDataset source;
  private List<Tensor> stream;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = SmallWorld.model();
    source = SmallWorld.source(model);
    stream = SmallWorld.stream(6, 16);
  }

  @AfterEach
  void close() {
    source.close();
    model.close();
    scope.close();
  }

  private Adapter started(String stack) {
    Adapter adapter = Adapters.parse(stack);
    adapter.start(model, source);
    return adapter;
  }

  private static void run(Adapter adapter, List<Tensor> batches) {
    batches.forEach(batch -> adapter.adapt(batch).close());
  }

  /** How far the trained parameters are from those of the model it was started on. */
  private double moved(Adapter adapter) {
    Map<String, Tensor> before = model.parameters();
    State state = adapter.state();
    return adapter.trained().stream()
        .mapToDouble(
            name -> state.tensor("moving/" + name).dist(before.get(name)).square().item_double())
        .sum();
  }

  @Test
  void everyRowIsNewUntilThereIsAMean() {
    Tensor p = Tensors.of(new double[] {1, 0, 0, 0, 1, 0}, 2, 3);
    assertThat(Eata.novel(p, null, 0.1).sum().item_long()).isEqualTo(2);
  }

  @Test
  void rowsLikeTheMeanAreRedundant() {
    Tensor p = Tensors.of(new double[] {0.9, 0.1, 0, 0, 0, 1}, 2, 3);
    Tensor mean = Tensors.of(new double[] {1, 0, 0}, 3);
    assertThat(Tensors.longs(Eata.novel(p, mean, 0.5))).containsExactly(0, 1);
    assertThat(Tensors.longs(Eata.novel(p, mean, 2))).containsExactly(1, 1);
  }

  @Test
  void noGradientFlowsThroughTheWeights() {
    Tensor entropy = Tensors.of(new double[] {0.2, 0.5, 0.9}, 3).requires_grad_(true);
    Tensor kept = entropy.detach().lt(new Scalar(0.8));
    Tensor gradient = Gradients.of(Eata.weighted(entropy, kept, 0.8), entropy);
    assertThat(Tensors.doubles(gradient))
        .containsExactly(
            new double[] {Math.exp(0.6) / 2, Math.exp(0.3) / 2, 0}, within(1e-12));
  }

  @Test
  void aBatchWithoutReliableRowsChangesNothing() {
    try (Adapter adapter = started("eata:E0=1e-9:beta=0:lr=1")) {
      run(adapter, stream);
      assertThat(adapter.usage().updates()).isZero();
      assertThat(adapter.usage().reliable()).isZero();
      assertThat(moved(adapter)).isZero();
    }
  }

  @Test
  void bothFiltersAreCounted() {
    try (Adapter adapter = started("eata:E0=0.9:eps=0.7:beta=0")) {
      run(adapter, stream);
      Usage usage = adapter.usage();
      assertThat(usage.backward()).isPositive().isLessThan(usage.reliable());
      assertThat(usage.reliable()).isLessThan(usage.samples());
    }
  }

  @Test
  void theLeashKeepsWeightsNearTheSource() {
    String settings = "eata:E0=1.5:eps=2:lr=0.05:normaliseFisher=true:beta=";
    try (Adapter free = started(settings + "0");
        Adapter leashed = started(settings + "100")) {
      run(free, stream);
      run(leashed, stream);
      assertThat(moved(leashed)).isLessThan(moved(free) / 2);
    }
  }

  @Test
  void aNormalisedFisherDiagonalHasMeanOne() {
    try (Adapter adapter = started("eata:normaliseFisher=true")) {
      State state = adapter.state();
      double sum = 0;
      long size = 0;
      for (String name : adapter.trained()) {
        Tensor fisher = state.tensor("statistics/fisher/" + name);
        sum += fisher.sum().item_double();
        size += fisher.numel();
      }
      assertThat(sum / size).isCloseTo(1, within(1e-5));
    }
  }

  @Test
  void theFisherDiagonalIsTheSquareOfBatchMeanGradients() {
    model.root().to(ScalarType.Double);
    try (Eata eata = new Eata()) {
      eata.start(model, source);
      Tensor batch = source.inputs().narrow(0, 0, 8).to(ScalarType.Double);
      eata.anchor(List.of(batch));
      Tensor shift = ((NeuralModel) eata.model()).parameters().get("n2.bias");
      Tensor logits = model.forwardOnBatchStatistics(batch).logits();
      Tensor labels = logits.detach().argmax(new LongOptional(1), false);
      double step = 1e-5;
      double[] slopes = new double[(int) shift.numel()];
      try (NeuralModel copy = model.deepCopy()) {
        Tensor free = copy.parameters().get("n2.bias").requires_grad_(false);
        for (int i = 0; i < slopes.length; i++) {
          free.narrow(0, i, 1).add_(new Scalar(step));
          double up = crossEntropy(copy, batch, labels);
          free.narrow(0, i, 1).add_(new Scalar(-2 * step));
          double down = crossEntropy(copy, batch, labels);
          free.narrow(0, i, 1).add_(new Scalar(step));
          slopes[i] = Math.pow((up - down) / (2 * step), 2);
        }
      }
      assertThat(Tensors.doubles(eata.state().tensor("statistics/fisher/n2.bias")))
          .containsExactly(slopes, within(1e-7));
    }
  }

  private static double crossEntropy(NeuralModel model, Tensor batch, Tensor labels) {
    return torch
        .cross_entropy_loss(model.forwardOnBatchStatistics(batch).logits(), labels)
        .item_double();
  }

  @Test
  void learningFromTheSourceDoesNotCountForRunningStatistics() {
    try (Adapter adapter = started("eata/delta-tbr")) {
      assertThat(adapter.state().tensor("moving/n1.seen").item_long()).isZero();
    }
  }

  @Test
  void withoutSourceDataItPointsToEta() {
    try (Adapter eata = new Eata();
        Adapter over = Adapters.parse("open-set-tta/eata");
        Adapter eta = Adapters.parse("eata:beta=0")) {
      for (Adapter adapter : List.of(eata, over)) {
        assertThatThrownBy(() -> adapter.start(model, null))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("eata:beta=0");
      }
      eta.start(model, null);
      run(eta, stream);
    }
  }

  @Test
  void singleRowsCannotBeNormalised() {
    try (Adapter adapter = Adapters.parse("eata:fisherBatch=1")) {
      assertThatThrownBy(() -> adapter.start(model, source))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("fisherBatch");
    }
  }

  @Test
  void aStateWithoutFisherDiagonalOrMeanIsRefused() {
    try (Adapter adapter = started("eata:E0=1.5:eps=2")) {
      run(adapter, stream);
      for (String part : List.of("statistics/fisher/n1.weight", "memory/mean")) {
        State state = Snapshot.of(adapter.state()).state();
        Map<String, Tensor> tensors = new LinkedHashMap<>(state.tensors());
        assertThat(tensors.remove(part)).isNotNull();
        State partial = new State(state.type(), state.version(), state.values(), tensors);
        assertThatThrownBy(() -> adapter.restore(partial))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("lacks");
        try (Adapter other = new Eata()) {
          assertThatThrownBy(() -> other.resume(model, partial))
              .isInstanceOf(OutriggerException.class);
        }
      }
    }
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    assertThatThrownBy(() -> Adapters.parse("eata:eps=0")).hasMessageContaining("eps");
    assertThatThrownBy(() -> Adapters.parse("eata:E0=-1")).hasMessageContaining("E0");
    assertThatThrownBy(() -> Adapters.parse("eata:beta=-1")).hasMessageContaining("beta");
  }
}
