package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/** Adapters that correct outputs, on a model that can do nothing but predict. */
class OutputCorrectionsTest {
  private static final int CLASSES = 5;

  /** Features are the inputs. */
  private static final class Predictor implements Model, Capabilities.HasLinearHead {
    private final LinearHead head;

    Predictor(long width) {
      try (Rng rng = new Rng(1)) {
        head =
            Scopes.scoped(
                () ->
                    new LinearHead(
                        Scopes.own(rng.normal(CLASSES, width)), Scopes.own(rng.normal(CLASSES))));
      }
    }

    @Override
    public String name() {
      return "predictor";
    }

    @Override
    public int classes() {
      return CLASSES;
    }

    @Override
    public Output predict(Tensor inputs, List<String> maps) {
      return new Output(head.apply(inputs), new Tensor(inputs));
    }

    @Override
    public Set<Need> offers() {
      return Set.of(Need.LOGITS, Need.FEATURES, Need.LINEAR_HEAD);
    }

    @Override
    public LinearHead head() {
      return head;
    }

    @Override
    public void close() {
      Scopes.release(head.weight());
      Scopes.release(head.bias());
    }
  }

  private static TensorDataset source(Predictor model, Rng rng, long width) {
    Tensor inputs = rng.normal(100, width);
    Tensor labels = model.predict(inputs).logits().argmax(new LongOptional(1), false);
    return TensorDataset.of(inputs, labels);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lame", "adanpc", "t3a", "prior-correction", "label-shift-adapter/lame/t3a"})
  void theyNeedNoMoreThanOutputs(String stack) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2);
        Predictor model = new Predictor(6);
        TensorDataset source = source(model, rng, 6);
        Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, source);
      for (int i = 0; i < 3; i++) {
        Tensor logits = adapter.adapt(rng.normal(9, 6)).logits();
        assertThat(logits.shape()).containsExactly(9, CLASSES);
        assertThat(logits.isfinite().all().item_bool()).isTrue();
      }
      assertThat(adapter.trained()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "lame",
        "adanpc:capacity=200",
        "adanpc:capacity=200:gamma=1",
        "t3a:filterK=20",
        "prior-correction",
        "label-shift-adapter:steps=1:hidden=2"
      })
  void memoryStaysFlat(String stack) {
    Torch.start();
    long width = 2048;
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3);
        Predictor model = new Predictor(width);
        TensorDataset source = source(model, rng, width);
        Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, source);
      Tensor batch = rng.normal(64, width);
      double before = 0;
      for (int i = 0; i < 120; i++) {
        if (i == 20) {
          before = ResidentMemory.megabytes();
        }
        Scopes.run(() -> adapter.adapt(batch).close());
      }
      // Half a megabyte that stayed with each of 100 batches would show.
      assertThat(ResidentMemory.megabytes() - before).isLessThan(25);
    }
  }
}
