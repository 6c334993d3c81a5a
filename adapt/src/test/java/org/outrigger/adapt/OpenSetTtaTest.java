package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Which rows open-set TTA lets through, and over what. */
class OpenSetTtaTest {
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

  private List<float[]> run(Adapter adapter) {
    adapter.start(model, source);
    List<float[]> logits = new ArrayList<>();
    for (Tensor batch : stream) {
      try (Output output = adapter.adapt(batch)) {
        logits.add(Tensors.floats(output.logits()));
      }
    }
    return logits;
  }

  @Test
  void theClassOfTheSourceModelCounts() {
    Tensor before = Tensors.of(new double[] {2, 0, 2, 0}, 2, 2);
    // The second row is surer than before, but of the other class.
    Tensor after = Tensors.of(new double[] {3, 0, 0, 9}, 2, 2);
    assertThat(Tensors.longs(OpenSetTta.keep(before, after, 0))).containsExactly(1, 0);
    assertThat(Tensors.longs(OpenSetTta.keep(before, before, 0))).containsExactly(1, 1);
    assertThat(Tensors.longs(OpenSetTta.keep(before, after, 0.2))).containsExactly(0, 0);
  }

  @Test
  void theFirstBatchIsKeptAndLaterOnesAreChosenFrom() {
    try (Adapter adapter = Adapters.parse("open-set-tta/tent:lr=0.05")) {
      adapter.start(model, source);
      adapter.adapt(stream.get(0)).close();
      assertThat(adapter.usage().backward()).isEqualTo(16);
      stream.subList(1, 6).forEach(batch -> adapter.adapt(batch).close());
      assertThat(adapter.usage().backward()).isGreaterThan(16).isLessThan(96);
    }
  }

  @Test
  void withoutChoiceAndDiversityItIsTheAdapterBelow() {
    try (Adapter alone = Adapters.parse("tent:lr=0.05");
        Adapter over = Adapters.parse("open-set-tta:margin=-1:lambda=0/tent:lr=0.05")) {
      List<float[]> wanted = run(alone);
      List<float[]> got = run(over);
      for (int i = 0; i < wanted.size(); i++) {
        assertThat(got.get(i)).containsExactly(wanted.get(i));
      }
      assertThat(over.usage()).isEqualTo(alone.usage());
    }
  }

  @Test
  void itChoosesAfterTheFiltersBelow() {
    String eata = "eata:E0=1.2:eps=2:beta=0:lr=0.05";
    try (Adapter alone = Adapters.parse(eata);
        Adapter over = Adapters.parse("open-set-tta/" + eata)) {
      run(alone);
      run(over);
      assertThat(over.usage().backward()).isLessThan(alone.usage().backward());
      assertThat(over.usage().reliable()).isGreaterThan(over.usage().backward());
    }
  }

  @Test
  void aWholeStackLearns() {
    try (Adapter stack =
        Adapters.parse("open-set-tta/periodic-reset:every=4/eata:E0=1.2:eps=2/delta-tbr")) {
      run(stack);
      assertThat(stack.stack()).isEqualTo("open-set-tta/periodic-reset/eata/delta-tbr");
      assertThat(stack.usage().updates()).isPositive();
      assertThat(stack.usage().resets()).isEqualTo(1);
    }
  }

  @Test
  void aFrozenModelThatSharesMemoryIsRefused() {
    OpenSetTta.requireApart(model.deepCopy(), model);
    assertThatThrownBy(() -> OpenSetTta.requireApart(model, model))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("shares");
  }

  @Test
  void itGoesOverMethodsWithGradientStepsOnce() {
    for (String stack :
        List.of(
            "open-set-tta/bn-adapt",
            "open-set-tta/source",
            "open-set-tta/open-set-tta",
            "open-set-tta/periodic-reset/open-set-tta/tent")) {
      assertThatThrownBy(() -> Adapters.parse(stack))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("put it over tent");
    }
  }
}
