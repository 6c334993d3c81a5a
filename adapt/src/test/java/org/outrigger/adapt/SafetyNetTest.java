package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class SafetyNetTest {
  /** A rate at which TENT collapses on this stream within a few batches. */
  private static final String GREEDY = "tent:lr=0.5";

  private PointerScope scope;
  private NeuralModel model;
  private List<Tensor> stream;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = SmallWorld.model();
    stream = SmallWorld.stream(60, 32, 0, 0);
  }

  @AfterEach
  void close() {
    model.close();
    scope.close();
  }

  /** The effective number of predicted classes, less one, in the last third of the stream. */
  private double finalSpread(Adapter adapter) {
    double[] counts = new double[SmallWorld.CLASSES];
    for (int i = 0; i < stream.size(); i++) {
      Tensor batch = stream.get(i);
      boolean last = i >= 2 * stream.size() / 3;
      Scopes.run(
          () -> {
            try (Output output = adapter.adapt(batch)) {
              for (int label : Tensors.ints(output.logits().argmax(new LongOptional(1), false))) {
                counts[label] += last ? 1 : 0;
              }
            }
          });
    }
    return Scopes.scoped(() -> SafetyNet.spread(Tensors.of(counts, counts.length)));
  }

  @Test
  void aCollapseIsCaughtAndTheClassesStayApart() {
    double bare;
    try (Adapter tent = Adapters.parse(GREEDY)) {
      tent.start(model, null);
      bare = finalSpread(tent);
    }
    List<SafetyNet.Event> told = new ArrayList<>();
    try (SafetyNet net = (SafetyNet) Adapters.parse("safety-net:rest=4/" + GREEDY)) {
      net.onRollback(told::add);
      net.start(model, null);
      double caught = finalSpread(net);
      assertThat(bare).as("TENT alone collapses").isLessThan(0.3);
      assertThat(caught).as("with the net it does not").isGreaterThan(1);
      assertThat(net.rollbacks()).isPositive().isEqualTo(told.size());
      assertThat(net.events()).containsExactlyElementsOf(told);
      assertThat(told.get(0).toString()).contains("rolled back").contains("agreement");
      assertThat(net.usage().resets()).isEqualTo(told.size());
      assertThat(told).anyMatch(SafetyNet.Event::startedOver);
    }
  }

  @Test
  void aHealthyAdapterIsLeftAlone() {
    try (SafetyNet net = (SafetyNet) Adapters.parse("safety-net/tent");
        Adapter bare = Adapters.parse("tent")) {
      net.start(model, null);
      bare.start(model, null);
      for (Tensor batch : stream) {
        Scopes.run(
            () ->
                assertThat(Tensors.floats(net.adapt(batch).logits()))
                    .containsExactly(Tensors.floats(bare.adapt(batch).logits())));
      }
      assertThat(net.rollbacks()).isZero();
      assertThat(net.health().agreement()).isBetween(0.2, 1.0);
      assertThat(net.health().confidence()).isBetween(1.0 / SmallWorld.CLASSES, 1.0);
      assertThat(net.health().entropy()).isBetween(0.0, 1.0);
      assertThat(net.usage().backward()).isEqualTo(bare.usage().backward());
    }
  }

  @Test
  void predictingSaysWhatAdaptingWouldAndLearnsNothing() {
    try (SafetyNet net = (SafetyNet) Adapters.parse("safety-net:every=2/tent");
        SafetyNet other = (SafetyNet) Adapters.parse("safety-net:every=2/tent")) {
      net.start(model, null);
      other.start(model, null);
      for (Tensor batch : stream.subList(0, 10)) {
        Scopes.run(
            () -> {
              float[] said = Tensors.floats(net.predict(batch).logits());
              assertThat(Tensors.floats(net.predict(batch).logits())).containsExactly(said);
              assertThat(Tensors.floats(net.adapt(batch).logits())).containsExactly(said);
              assertThat(Tensors.floats(other.adapt(batch).logits())).containsExactly(said);
            });
      }
      assertThat(net.usage()).isEqualTo(other.usage());
    }
  }

  @Test
  void predictionsThatAreNotNumbersAreCaughtAtOnce() {
    try (SafetyNet net = (SafetyNet) Adapters.parse("safety-net:every=50/tent")) {
      net.start(model, null);
      Scopes.run(() -> net.adapt(stream.get(0)));
      NeuralModel inside = (NeuralModel) net.model();
      Scopes.run(
          () ->
              Scopes.grad(
                  false,
                  () -> inside.parameters().get("n1.weight").fill_(Tensors.number(Double.NaN))));
      Scopes.run(
          () -> {
            float[] served = Tensors.floats(net.adapt(stream.get(1)).logits());
            assertThat(served)
                .as("the source model answers")
                .containsExactly(Tensors.floats(model.predict(stream.get(1)).logits()));
          });
      assertThat(net.events()).hasSize(1);
      assertThat(net.events().get(0).reason()).isEqualTo(SafetyNet.Reason.NOT_FINITE);
      assertThat(net.resting()).isTrue();
      assertThat(
              Scopes.scoped(
                  () -> inside.parameters().get("n1.weight").isfinite().all().item_bool()))
          .as("the weights are those of the snapshot")
          .isTrue();
    }
  }

  @Test
  void theSpreadOfAHistogramIsItsEffectiveNumberOfClassesLessOne() {
    Scopes.run(
        () -> {
          assertThat(SafetyNet.spread(Tensors.of(new double[] {5, 5, 5, 5}, 4)))
              .isEqualTo(3, within(1e-12));
          assertThat(SafetyNet.spread(Tensors.of(new double[] {9, 0, 0}, 3))).isZero();
          assertThat(SafetyNet.spread(Tensors.of(new double[] {0, 0, 0}, 3))).isZero();
        });
  }

  @Test
  void settingsOutOfRangeAreRefused() {
    assertThatThrownBy(() -> Adapters.parse("safety-net:every=0"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("every");
    assertThatThrownBy(() -> Adapters.parse("safety-net:minSpread=1"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("minSpread");
  }
}
