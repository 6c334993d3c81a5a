package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LabelShiftAdapterTest {
  private PointerScope scope;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor mix(double... shares) {
    return Tensors.of(shares, shares.length);
  }

  @Test
  void theSourceHasDegreeOneTheUniformMixZeroAndTheReversedOneLess() {
    Tensor prior = LabelShiftAdapter.prior(mix(70, 20, 10));
    Tensor direction = LabelShiftAdapter.direction(prior);
    assertThat(LabelShiftAdapter.degree(direction, prior).item_double())
        .isCloseTo(1, within(1e-12));
    Tensor uniform = mix(1 / 3., 1 / 3., 1 / 3.);
    assertThat(LabelShiftAdapter.degree(direction, uniform).item_double())
        .isCloseTo(0, within(1e-12));
    Tensor reversed = LabelShiftAdapter.reversed(prior);
    assertThat(LabelShiftAdapter.degree(direction, reversed).item_double()).isNegative();
  }

  @Test
  void aMixIsReversedByRankNotByIndex() {
    assertThat(Tensors.doubles(LabelShiftAdapter.reversed(mix(.2, .5, .1, .15, .05))))
        .containsExactly(.1, .05, .2, .15, .5);
  }

  @Test
  void aMissingClassCountsAsOneLikeAllOthers() {
    assertThat(Tensors.doubles(LabelShiftAdapter.prior(mix(3, 0, 1))))
        .containsExactly(new double[] {4 / 7., 1 / 7., 2 / 7.}, within(1e-12));
  }

  @Test
  void aBalancedSourceIsRefused() {
    assertThatThrownBy(() -> LabelShiftAdapter.direction(mix(.25, .25, .25, .25)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("use prior-correction instead");
    try (NeuralModel model = SmallWorld.model();
        LabelShiftAdapter adapter = new LabelShiftAdapter();
        TensorDataset balanced =
            TensorDataset.of(
                SmallWorld.stream(1, 8).get(0), Tensors.labels(0, 1, 2, 3, 0, 1, 2, 3))) {
      assertThatThrownBy(() -> adapter.start(model, balanced))
          .hasMessageContaining("use prior-correction instead");
    }
  }

  @Test
  void anUntrainedNetworkChangesNothing() {
    try (Rng rng = new Rng(3)) {
      LinearHead head = new LinearHead(rng.normal(4, 6), rng.normal(4));
      Tensor features = rng.normal(5, 6);
      for (int rank : new int[] {0, 2}) {
        LabelShiftNetwork network = LabelShiftNetwork.identity(4, 6, 3, rank, rng);
        Tensor logits = network.change(Tensors.scalar(0.3), 4, 6).apply(features, head);
        assertThat(logits.equal(head.apply(features))).isTrue();
      }
    }
  }

  @Test
  void onTheSourceMixTheLossIsCrossEntropyAndZerosStayFinite() {
    try (Rng rng = new Rng(4)) {
      Tensor logits = rng.normal(ScalarType.Double, 6, 3);
      Tensor labels = Tensors.labels(0, 1, 2, 0, 1, 2);
      Tensor prior = mix(.6, .3, .1);
      assertThat(LabelShiftNetwork.loss(logits, labels, prior, prior, 1).item_double())
          .isCloseTo(torch.cross_entropy_loss(logits, labels).item_double(), within(1e-12));
      assertThat(LabelShiftNetwork.loss(logits, labels, prior, mix(1, 0, 0), 1).item_double())
          .isFinite();
    }
  }

  @Test
  void trainedForAMixTheHeadGivesThePosteriorUnderIt() {
    // One feature, two classes of unit variance at -1 and 1; the source has 9 of 10 in class 0.
    try (Rng rng = new Rng(5)) {
      Tensor labels = rng.uniform(4000).gt(new Scalar(0.9)).to(ScalarType.Long);
      Tensor features =
          rng.normal(4000, 1).add(labels.unsqueeze(1).mul(new Scalar(2.0)).sub(new Scalar(1.0)));
      LinearHead head =
          new LinearHead(
              Tensors.of(new float[] {-1, 1}, 2, 1),
              Tensors.of(new float[] {0, (float) Math.log(1 / 9.)}, 2));
      Tensor prior = mix(.9, .1);
      Tensor direction = LabelShiftAdapter.direction(prior);
      LabelShiftNetwork network = LabelShiftNetwork.identity(2, 1, 32, 0, rng);
      LabelShiftAdapter.Settings settings =
          new LabelShiftAdapter.Settings(
              1, .1, LabelShiftAdapter.Start.UNIFORM, 32, 1, 1000, 600, 256, 5e-3, 0);
      Tensor uniform = mix(.5, .5);
      network.train(
          features,
          labels,
          head,
          prior,
          List.of(prior, uniform, LabelShiftAdapter.reversed(prior)),
          direction,
          settings,
          rng);
      Tensor middle = Tensors.of(new float[] {0}, 1, 1);
      double[] expected = {Math.log(1 / 9.), 0, Math.log(9)};
      Tensor[] mixes = {prior, uniform, LabelShiftAdapter.reversed(prior)};
      for (int i = 0; i < 3; i++) {
        Tensor logits =
            network.change(LabelShiftAdapter.degree(direction, mixes[i]), 2, 1).apply(middle, head);
        double odds = logits.select(1, 1).sub(logits.select(1, 0)).item_double();
        assertThat(odds).as("mix " + i).isCloseTo(expected[i], within(0.35));
      }
    }
  }

  @Test
  void theEstimateFollowsTheStreamOnceABatch() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset data = SmallWorld.source(model)) {
      for (String stack :
          List.of("label-shift-adapter", "label-shift-adapter/tent:lr=1e-9:steps=3")) {
        try (LabelShiftAdapter adapter = (LabelShiftAdapter) Adapters.parse(stack)) {
          adapter.start(model, data);
          double[] before = Tensors.doubles(adapter.mix());
          assertThat(before).containsOnly(.25);
          adapter.adapt(SmallWorld.stream(1, 16).get(0)).close();
          double[] after = Tensors.doubles(adapter.mix());
          assertThat(Arrays.stream(after).sum()).isCloseTo(1, within(1e-12));
          assertThat(after).isNotEqualTo(before);
          // One step of rate 0.1 from uniform, and not one for each forward pass.
          assertThat(Arrays.stream(after))
              .allMatch(share -> share >= .225 - 1e-9 && share <= .325 + 1e-9);
          adapter.reset();
          assertThat(Tensors.doubles(adapter.mix())).containsExactly(before);
        }
      }
    }
  }

  @Test
  void theAdapterBelowLearnsFromTheCorrectedLogits() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset data = SmallWorld.source(model)) {
      List<double[]> weights = new ArrayList<>();
      for (String stack : List.of("tent:lr=0.1", "label-shift-adapter/tent:lr=0.1")) {
        try (Adapter adapter = Adapters.parse(stack)) {
          adapter.start(model, data);
          adapter.adapt(SmallWorld.stream(1, 16).get(0)).close();
          weights.add(
              Tensors.doubles(((NeuralModel) adapter.model()).parameters().get("n2.weight")));
        }
      }
      assertThat(weights.get(1)).isNotEqualTo(weights.get(0));
    }
  }

  @Test
  void withoutTrainingItIsTheAdapterBelow() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset data = SmallWorld.source(model);
        Adapter plain = Adapters.parse("tent");
        Adapter over = Adapters.parse("label-shift-adapter:steps=1:lr=1e-12/tent")) {
      plain.start(model, data);
      over.start(model, data);
      for (Tensor batch : SmallWorld.stream(3, 16)) {
        try (Output a = plain.adapt(batch);
            Output b = over.adapt(batch)) {
          assertThat(Tensors.doubles(b.logits()))
              .containsExactly(Tensors.doubles(a.logits()), within(1e-5));
        }
      }
    }
  }

  @Test
  void sameSeedSameNetwork() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset data = SmallWorld.source(model)) {
      List<float[]> logits =
          IntStream.range(0, 3)
              .mapToObj(
                  i -> {
                    try (Adapter adapter =
                        Adapters.parse("label-shift-adapter:seed=" + (i == 2 ? 1 : 0))) {
                      adapter.start(model, data);
                      try (Output output = adapter.adapt(SmallWorld.stream(1, 4).get(0))) {
                        return Tensors.floats(output.logits());
                      }
                    }
                  })
              .toList();
      assertThat(logits.get(1)).containsExactly(logits.get(0));
      assertThat(logits.get(2)).isNotEqualTo(logits.get(0));
    }
  }

  @Test
  void aKnownMixIsBelieved() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset data = SmallWorld.source(model);
        LabelShiftAdapter adapter =
            (LabelShiftAdapter) Adapters.parse("label-shift-adapter:alpha=0")) {
      adapter.start(model, data);
      adapter.believe(mix(.7, .1, .2, 0));
      adapter.adapt(SmallWorld.stream(1, 4).get(0)).close();
      assertThat(Tensors.doubles(adapter.mix()))
          .containsExactly(new double[] {.7, .1, .2, 0}, within(2e-4));
      assertThatThrownBy(() -> adapter.believe(mix(.7, .1, .2, .1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("sum to one");
      assertThatThrownBy(() -> adapter.believe(mix(.5, .5))).isInstanceOf(OutriggerException.class);
    }
  }
}
