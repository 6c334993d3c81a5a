package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What every adapter promises, and stacks of them. */
class AdapterLawsTest {
  private PointerScope scope;
  private NeuralModel model;
  private TensorDataset source;
  private List<Tensor> stream;

  /** Methods that run a network 32 times for each batch or image, which adds nothing here. */
  private static final List<String> FEWER_VIEWS = List.of("cotta", "memo");

  /** Every adapter with its defaults, and stacks. */
  static Stream<String> all() {
    return Stream.concat(
        Methods.cards(Adapter.class).stream()
            .map(
                card -> FEWER_VIEWS.contains(card.slug()) ? card.slug() + ":views=2" : card.slug()),
        Stream.of(
            "tent:optimiser=sgd:lr=0.01:steps=2",
            "cema:entHighMargin=2:entLowMargin=0:cloudBatch=8:replayStart=16:replay=40:refresh=2",
            "cema:entHighMargin=2:threshold=code:warmUp=20:dMargin=0.95:cloudBatch=4",
            "u-vpa:form=sparse:rho=0.2:modelRate=0.001:restore=0.1",
            "u-vpa:form=border:uncertainty=mutual_information:weighted=true:restart=true:rate=0.5",
            "pseudo-label:threshold=0.3",
            "pseudo-label:threshold=0:train=head",
            "shot-im:train=features",
            "periodic-reset:every=2/shot-im",
            "unmix-tns:K=1",
            "tent/unmix-tns:K=4",
            "tent/alpha-bn:a=0.5",
            "cotta:ap=1:views=3:rst=0.2:steps=2",
            "cotta:symmetric=true:optimiser=sgd/unmix-tns",
            "note:capacity=8:interval=5:lr=0.01",
            "note:interval=16/unmix-tns",
            "rotta:capacity=8:interval=5:nu=0.1",
            "rotta:interval=16/unmix-tns",
            "memo:views=2:flip=false",
            "memo:views=2:steps=2/unmix-tns",
            "episodic/unmix-tns",
            "eata:eps=2:E0=0.9:beta=3:fisherSize=40:fisherBatch=16:normaliseFisher=true",
            "eata:eps=2:E0=1.5:beta=0:steps=2",
            "open-set-tta/eata:eps=2:E0=1.2/delta-tbr",
            "open-set-tta:margin=-0.1:lambda=0/periodic-reset:every=2/tent:lr=0.1",
            "cafa:covariance=tied:optimiser=sgd",
            "open-set-tta/cafa",
            "sar:E0=1.1:lr=0.1",
            "sar:E0=1.1:resetConstant=5/delta-tbr",
            "roid:correction=logits:flip=false/delta-tbr",
            "roid:consistency=false:correction=none",
            "delta:loss=pseudo_label:entropyWeight=true/delta-tbr:prior=0.5",
            "label-shift-adapter/open-set-tta/eata:eps=2:E0=1.2/unmix-tns",
            "delta:loss=generalised",
            "lame:affinity=rbf/tent",
            "lame:affinity=linear:forceSymmetry=true:boundLambda=0.5/bn-adapt",
            "adanpc:k=3:capacity=20:confidence=vote:beta=0.5",
            "adanpc:epsBall=0.2:capacity=7/tent",
            "adanpc:graphAbove=10",
            "adanpc:gamma=2",
            "t3a:filterK=2/tent",
            "t3a:filterK=-1",
            "prior-correction:form=logits/lame",
            "label-shift-adapter/tent:steps=2",
            "label-shift-adapter:hidden=5:lowRankAbove=4:rank=2:start=source/lame",
            "safety-net:every=1:rest=1:minSpread=0.9/tent:lr=0.5"));
  }

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

  private static List<float[]> run(Adapter adapter, List<Tensor> batches) {
    List<float[]> logits = new ArrayList<>();
    for (Tensor batch : batches) {
      Scopes.run(
          () -> {
            try (Output output = adapter.adapt(batch)) {
              assertThat(output.logits().requires_grad()).isFalse();
              logits.add(Tensors.floats(output.logits()));
            }
          });
    }
    return logits;
  }

  private static void same(List<float[]> a, List<float[]> b) {
    assertThat(a).hasSameSizeAs(b);
    for (int i = 0; i < a.size(); i++) {
      assertThat(a.get(i)).as("batch " + i).containsExactly(b.get(i));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void itPredictsFiniteScoresAndCounts(String stack) {
    try (Adapter adapter = started(stack)) {
      List<float[]> logits = run(adapter, stream);
      for (float[] batch : logits) {
        assertThat(batch).hasSize(16 * SmallWorld.CLASSES);
        for (float value : batch) {
          assertThat(value).isFinite();
        }
      }
      assertThat(adapter.usage().batches()).isEqualTo(6);
      assertThat(adapter.usage().samples()).isEqualTo(96);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void theModelItWasStartedOnStaysAsItIs(String stack) {
    double before = SmallWorld.sum(model);
    try (Adapter adapter = started(stack)) {
      run(adapter, stream);
    }
    assertThat(SmallWorld.sum(model)).isEqualTo(before);
    assertThat(model.root().trainable()).isNotEmpty();
  }

  @ParameterizedTest
  @MethodSource("all")
  void resetGoesBackToTheStartInEveryPart(String stack) {
    try (Adapter adapter = started(stack)) {
      List<float[]> first = run(adapter, stream);
      adapter.reset();
      assertThat(adapter.usage()).isEqualTo(Usage.NONE);
      same(run(adapter, stream), first);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void twoOfTheSameDoTheSame(String stack) {
    try (Adapter one = started(stack);
        Adapter two = started(stack)) {
      same(run(one, stream), run(two, stream));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aSnapshotContinuesExactly(String stack) {
    try (Adapter adapter = started(stack)) {
      run(adapter, stream.subList(0, 3));
      try (Snapshot snapshot = adapter.snapshot()) {
        List<float[]> first = run(adapter, stream.subList(3, 6));
        adapter.restore(snapshot.state());
        assertThat(adapter.usage().batches()).isEqualTo(3);
        same(run(adapter, stream.subList(3, 6)), first);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aSavedOneContinuesExactlyAndCanStillBeReset(String stack, @TempDir Path folder) {
    Path file = folder.resolve("adapter.safetensors");
    try (Adapter adapter = started(stack)) {
      List<float[]> all = run(adapter, stream);
      adapter.reset();
      run(adapter, stream.subList(0, 3));
      Adapters.save(adapter, file);
      try (Adapter again = Adapters.load(file, model)) {
        assertThat(again.stack()).isEqualTo(adapter.stack());
        assertThat(again.settings()).isEqualTo(adapter.settings());
        assertThat(again.usage()).isEqualTo(adapter.usage());
        same(run(again, stream.subList(3, 6)), all.subList(3, 6));
        again.reset();
        same(run(again, stream), all);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void badBatchesAreRefusedAndChangeNothing(String stack) {
    try (Adapter adapter = started(stack)) {
      List<float[]> first = run(adapter, stream);
      adapter.reset();
      try (PointerScope inner = new PointerScope()) {
        assertThatThrownBy(() -> adapter.adapt(stream.get(0).narrow(0, 0, 0)))
            .isInstanceOf(OutriggerException.class);
        Tensor nan = stream.get(0).clone();
        nan.flatten().narrow(0, 3, 1).fill_(Tensors.number(Double.NaN));
        assertThatThrownBy(() -> adapter.adapt(nan))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("NaN");
        assertThatThrownBy(() -> adapter.adapt(stream.get(0).narrow(2, 0, 3)))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("[N, 1, 6, 6]");
      }
      same(run(adapter, stream), first);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aDamagedStateIsRefusedAndChangesNothing(String stack) {
    try (Adapter adapter = started(stack)) {
      run(adapter, stream.subList(0, 2));
      try (Snapshot snapshot = adapter.snapshot()) {
        List<float[]> next = run(adapter, stream.subList(2, 4));
        adapter.restore(snapshot.state());
        var state = snapshot.state();
        var values = new LinkedHashMap<>(state.values());
        values.remove("usage");
        assertThatThrownBy(
                () ->
                    adapter.restore(
                        new State(state.type(), state.version(), values, state.tensors())))
            .isInstanceOf(OutriggerException.class);
        assertThatThrownBy(
                () ->
                    adapter.restore(new State("adapter/other", 1, state.values(), state.tensors())))
            .isInstanceOf(OutriggerException.class);
        same(run(adapter, stream.subList(2, 4)), next);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void beforeItIsStartedItSaysWhatToDo(String stack) {
    try (Adapter adapter = Adapters.parse(stack)) {
      assertThatThrownBy(() -> adapter.adapt(stream.get(0)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("call start");
      assertThatThrownBy(adapter::state).isInstanceOf(OutriggerException.class);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void whatItTrainsIsNamedAsTheModelNamesIt(String stack) {
    try (Adapter adapter = started(stack)) {
      assertThat(model.parameters().keySet()).containsAll(adapter.trained());
      assertThat(Adapters.parse(Adapters.describe(adapter)).stack()).isEqualTo(adapter.stack());
    }
  }
}
