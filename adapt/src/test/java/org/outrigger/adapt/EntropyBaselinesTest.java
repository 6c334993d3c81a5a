package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What is special about SAR, ROID and DELTA. */
class EntropyBaselinesTest {
  private PointerScope scope;
  private NeuralModel model;
  private List<Tensor> stream;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = SmallWorld.model();
    stream = SmallWorld.stream(6, 16);
  }

  @AfterEach
  void close() {
    model.close();
    scope.close();
  }

  private List<float[]> run(Adapter adapter) {
    adapter.start(model, null);
    List<float[]> logits = new ArrayList<>();
    for (Tensor batch : stream) {
      try (Output output = adapter.adapt(batch)) {
        logits.add(Tensors.floats(output.logits()));
      }
    }
    return logits;
  }

  /** With gradients, batch statistics are taken in another order of operations. */
  private static final float ROUNDING = 1e-4f;

  private static void same(List<float[]> a, List<float[]> b, float tolerance) {
    for (int i = 0; i < a.size(); i++) {
      assertThat(a.get(i)).containsExactly(b.get(i), within(tolerance));
    }
  }

  // -- SAR

  @Test
  void sarWithoutClimbIsTentOnReliableRows() {
    try (Adapter sar = Adapters.parse("sar:E0=1.5:rho=1e-9:lr=0.1:resetConstant=0");
        Adapter tent = Adapters.parse("tent:optimiser=sgd:lr=0.1")) {
      same(run(sar), run(tent), 1e-4f);
    }
  }

  @Test
  void sarStartsOverWhenItsLossCollapses() {
    try (Adapter sar = Adapters.parse("sar:E0=1.5:lr=0.1:resetConstant=100");
        Adapter still = Adapters.parse("bn-adapt")) {
      // It starts over after every batch, so that it never differs from the source.
      same(run(sar), run(still), ROUNDING);
      assertThat(sar.usage().resets()).isEqualTo(6);
      assertThat(sar.usage().updates()).isEqualTo(6);
      assertThat(sar.state().map("memory")).doesNotContainKey("loss");
    }
  }

  @Test
  void sarLeavesTheLastStageAlone() {
    assertThat(
            Sar.withoutLastStage(List.of("bn1.weight", "layer3.0.bn1.bias", "layer4.1.bn2.weight")))
        .containsExactly("bn1.weight", "layer3.0.bn1.bias");
    assertThat(
            Sar.withoutLastStage(
                List.of(
                    "blocks.0.norm1.weight",
                    "blocks.8.norm2.bias",
                    "blocks.9.norm1.weight",
                    "blocks.11.norm2.weight",
                    "norm.weight")))
        .containsExactly("blocks.0.norm1.weight", "blocks.8.norm2.bias");
    assertThat(Sar.withoutLastStage(List.of("features.norm.weight"))).hasSize(1);
  }

  // -- ROID

  @Test
  void equalRowsAllHaveWeightOne() {
    Tensor logits = Tensors.of(new double[] {1, 2, 1, 2}, 2, 2);
    Tensor mean = Tensors.of(new double[] {0.5, 0.5}, 2);
    Tensor diversity = Roid.diversity(torch.softmax(logits, 1), mean);
    assertThat(Tensors.doubles(diversity)).containsExactly(1, 1);
    assertThat(Tensors.doubles(Roid.certainty(logits))).containsExactly(1, 1);
    assertThat(Roid.diverse(diversity).all().item_bool()).isTrue();
  }

  @Test
  void anEvenPriorCorrectsNothing() {
    Tensor logits = Tensors.of(new double[] {1, 2, 3, 2, 3, 1, 3, 1, 2}, 3, 3);
    Tensor prior = Roid.prior(logits);
    assertThat(Tensors.doubles(prior))
        .containsExactly(new double[] {1 / 3.0, 1 / 3.0, 1 / 3.0}, within(1e-12));
    Tensor corrected = Roid.corrected(logits, prior, Roid.Correction.PROBABILITIES).exp();
    assertThat(Tensors.doubles(corrected))
        .containsExactly(Tensors.doubles(torch.softmax(logits, 1)), within(1e-12));
    assertThat(Tensors.doubles(corrected.sum(1)))
        .containsExactly(new double[] {1, 1, 1}, within(1e-12));
  }

  @Test
  void symmetricCrossEntropyIsSymmetric() {
    Tensor a = Tensors.of(new double[] {1, 2, 0.5, -1}, 2, 2);
    Tensor b = Tensors.of(new double[] {0, 1, 3, 2}, 2, 2);
    assertThat(Tensors.doubles(Roid.symmetricCrossEntropy(a, b)))
        .containsExactly(Tensors.doubles(Roid.symmetricCrossEntropy(b, a)), within(1e-12));
    assertThat(Tensors.doubles(Roid.symmetricCrossEntropy(a, a)))
        .containsExactly(Tensors.doubles(Entropies.entropy(a)), within(1e-12));
  }

  @Test
  void weightsGoBackToTheSourceIfNothingOfThemStays() {
    try (Adapter roid = Adapters.parse("roid:momentumSource=0:lr=0.1:correction=none");
        Adapter still = Adapters.parse("bn-adapt")) {
      same(run(roid), run(still), ROUNDING);
      assertThat(roid.usage().updates()).isEqualTo(6);
    }
  }

  @Test
  void viewsDependOnTheSeed() {
    String roid = "roid:lr=0.1:correction=none:seed=";
    try (Adapter one = Adapters.parse(roid + 1);
        Adapter other = Adapters.parse(roid + 2)) {
      assertThat(run(one).get(5)).isNotEqualTo(run(other).get(5));
    }
  }

  // -- DELTA

  @Test
  void rareClassesWeighMore() {
    Tensor logits = Tensors.of(new double[] {9, 0, 9, 0, 0, 9}, 3, 2);
    Tensor frequency = Tensors.of(new double[] {0.8, 0.2}, 2);
    assertThat(Tensors.doubles(Delta.weights(logits, frequency)))
        .containsExactly(new double[] {0.5, 0.5, 2}, within(1e-12));
  }

  @Test
  void deltaWithoutFrequenciesIsTentOverRenormalisation() {
    try (Adapter delta = Adapters.parse("delta:dot=1:lr=0.05");
        Adapter tent = Adapters.parse("tent:lr=0.05/delta-tbr")) {
      assertThat(delta.stack()).isEqualTo("delta/delta-tbr");
      same(run(delta), run(tent), 0);
    }
  }

  @Test
  void theFirstBatchIsNormalisedByItselfAndALaterOneByTheStream() {
    try (Adapter renorm = new DeltaTbr();
        Adapter batch = Adapters.parse("bn-adapt")) {
      List<float[]> a = run(renorm);
      List<float[]> b = run(batch);
      assertThat(a.get(0)).containsExactly(b.get(0), within(1e-4f));
      assertThat(a.get(5)).isNotEqualTo(b.get(5));
    }
  }

  @Test
  void predictionsOfTheAdaptedModelDoNotMoveTheStatistics() {
    try (Adapter renorm = new DeltaTbr()) {
      run(renorm);
      double before = SmallWorld.sum((NeuralModel) renorm.model());
      renorm.model().predict(stream.get(5)).close();
      assertThat(SmallWorld.sum((NeuralModel) renorm.model())).isEqualTo(before);
    }
  }

  @Test
  void renormalisationIsTheSameForASingleClassOnceItHasSeenTheStream() {
    try (Adapter renorm = Adapters.parse("delta-tbr:prior=1")) {
      renorm.start(model, null);
      Tensor mixed = stream.get(0);
      float[] all = Tensors.floats(renorm.adapt(mixed).logits());
      // With fixed running statistics a row's output does not depend on its batch.
      float[] half = Tensors.floats(renorm.adapt(mixed.narrow(0, 0, 8)).logits());
      for (int i = 0; i < half.length; i++) {
        assertThat(half[i]).isCloseTo(all[i], within(1e-3f));
      }
    }
  }

  @Test
  void aNetworkWithoutBatchNormCannotBeRenormalised() {
    try (Rng rng = new Rng(1);
        NeuralModel plain =
            NeuralModel.of(
                "plain",
                new Sequential(Map.of("fc", new Linear(4, 2, rng))),
                "fc",
                new long[] {4},
                List.of());
        Adapter renorm = new DeltaTbr()) {
      assertThatThrownBy(() -> renorm.start(plain, null)).isInstanceOf(OutriggerException.class);
    }
  }

  @Test
  void theGeneralisedCrossEntropyWithQOneIsTheDoubt() {
    Tensor logits = Tensors.of(new double[] {0, 0, 50, 0}, 2, 2);
    Tensor losses = Entropies.generalised(logits, 1);
    assertThat(Tensors.doubles(losses)).containsExactly(new double[] {0.5, 0}, within(1e-12));
    assertThat(losses.le(new Scalar(1)).all().item_bool()).isTrue();
  }
}
