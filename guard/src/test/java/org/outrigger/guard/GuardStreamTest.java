package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.BaseAdapter;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.adapt.Source;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;
import org.outrigger.detect.Energy;

/** Streams of one guard that have an adapter each. */
class GuardStreamTest {
  private static TensorDataset digits;
  private static Tensor faint;
  private static Tensor dark;
  private static NeuralModel model;
  private static Guard guard;

  @BeforeAll
  static void train() {
    digits = Digits.images();
    model = NeuralModel.create("resnet8", Map.of(), new long[] {1, 8, 8}, 10, 1);
    Trainer.of(model)
        .settings(Trainer.Settings.defaults().withEpochs(2).withSeed(1))
        .fit(digits.limit(400));
    guard = Guard.of(model).detect(new Energy()).adapt("tent").fit(digits.limit(400));
    faint =
        Scopes.scoped(
            () ->
                Scopes.own(
                    digits
                        .inputs()
                        .narrow(0, 400, 160)
                        .mul(new Scalar(0.35))
                        .add(new Scalar(0.3))));
    dark =
        Scopes.scoped(() -> Scopes.own(digits.inputs().narrow(0, 600, 160).mul(new Scalar(0.5))));
  }

  @AfterAll
  static void close() {
    Scopes.release(faint);
    Scopes.release(dark);
    guard.close();
    model.close();
    digits.close();
  }

  /** Answers rows from..to in pieces of {@code size}. */
  private static List<Float> logits(GuardStream stream, Tensor rows, int from, int to, int size) {
    List<Float> all = new ArrayList<>();
    for (int at = from; at < to; at += size) {
      try (PointerScope scope = new PointerScope()) {
        for (float logit :
            stream.answer(rows.narrow(0, at, Math.min(size, to - at)), false).logits()) {
          all.add(logit);
        }
      }
    }
    return all;
  }

  private static Map<String, List<Double>> learned(GuardStream stream) {
    Map<String, List<Double>> all = new TreeMap<>();
    Scopes.run(
        () ->
            stream
                .state()
                .tensors()
                .forEach(
                    (name, tensor) -> {
                      double[] flat = Tensors.doubles(tensor.to(torch.ScalarType.Double));
                      all.put(
                          name, IntStream.range(0, flat.length).mapToObj(i -> flat[i]).toList());
                    }));
    return all;
  }

  @Test
  void streamsDoNotDisturbEachOther() {
    try (GuardStreams streams = guard.streams(null, 32);
        GuardStream alone = streams.open();
        GuardStream other = streams.open();
        GuardStream a = streams.open();
        GuardStream b = streams.open()) {
      List<Float> first = logits(alone, faint, 0, 160, 20);
      List<Float> second = logits(other, dark, 0, 160, 20);
      List<Float> mixedFirst = new ArrayList<>();
      List<Float> mixedSecond = new ArrayList<>();
      for (int at = 0; at < 160; at += 20) {
        mixedFirst.addAll(logits(a, faint, at, at + 20, 20));
        mixedSecond.addAll(logits(b, dark, at, at + 20, 20));
      }
      assertThat(mixedFirst).isEqualTo(first);
      assertThat(mixedSecond).isEqualTo(second);
      assertThat(a.batches()).isEqualTo(5);
      assertThat(a.rows()).isEqualTo(160);
    }
  }

  @Test
  void fullBatchesAreAnsweredAsByTheAdapterItself() {
    try (GuardStreams streams = guard.streams(null, 32);
        GuardStream stream = streams.open();
        Adapter net = Adapters.parse("safety-net/tent")) {
      assertThat(streams.stack()).isEqualTo("safety-net/tent");
      net.start(model, null);
      List<Float> expected = new ArrayList<>();
      for (int at = 0; at < 160; at += 32) {
        try (PointerScope scope = new PointerScope();
            Output output = net.adapt(faint.narrow(0, at, 32))) {
          for (float logit : Tensors.floats(output.logits())) {
            expected.add(logit);
          }
        }
      }
      assertThat(logits(stream, faint, 0, 160, 32)).isEqualTo(expected);
    }
  }

  @Test
  void whatIsLearnedDependsOnTheRowsAndNotOnHowTheyAreCut() {
    try (GuardStreams streams = guard.streams(null, 32);
        GuardStream whole = streams.open();
        GuardStream pieces = streams.open();
        GuardStream single = streams.open()) {
      logits(whole, faint, 0, 144, 144);
      logits(pieces, faint, 0, 144, 13);
      logits(single, faint, 0, 144, 1);
      assertThat(whole.pending()).isEqualTo(16);
      assertThat(learned(pieces)).isEqualTo(learned(whole));
      assertThat(learned(single)).isEqualTo(learned(whole));
    }
  }

  @Test
  void scoresComeFromTheModelAndSoDoAnswersUntilABatchIsFull() {
    try (GuardStreams streams = guard.streams(null, 32);
        GuardStream stream = streams.open();
        PointerScope scope = new PointerScope()) {
      Tensor some = faint.narrow(0, 0, 20);
      Guard.Answer plain = guard.modelAnswer(some, false);
      Guard.Answer early = stream.answer(some, false);
      assertThat(early.verdicts()).isEqualTo(plain.verdicts());
      assertThat(early.logits()).isEqualTo(plain.logits());
      Guard.Answer later = stream.answer(some, false);
      assertThat(later.logits()).isNotEqualTo(plain.logits());
      for (int i = 0; i < 20; i++) {
        assertThat(later.verdicts().get(i).score()).isEqualTo(plain.verdicts().get(i).score());
        assertThat(later.verdicts().get(i).unknown()).isEqualTo(plain.verdicts().get(i).unknown());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tent",
        "eata:beta=0",
        "sar",
        "delta",
        "note",
        "rotta",
        "cotta",
        "unmix-tns",
        "ema-bn",
        "t3a",
        "lame",
        "open-set-tta/tent",
        "periodic-reset:every=2/tent",
        "roid/unmix-tns"
      })
  void aRestoredStreamGoesOnToTheLastBit(String stack, @TempDir Path folder) {
    Path file = folder.resolve("stream.safetensors");
    try (GuardStreams streams = guard.streams(stack, 16);
        GuardStream stream = streams.open();
        GuardStream again = streams.open()) {
      logits(stream, faint, 0, 57, 19);
      StateFiles.write(file, stream.state());
      List<Float> next = logits(stream, dark, 0, 57, 19);
      Scopes.run(() -> again.restore(StateFiles.read(file)));
      assertThat(again.rows()).isEqualTo(57);
      assertThat(again.pending()).isEqualTo(9);
      assertThat(logits(again, dark, 0, 57, 19)).isEqualTo(next);
      stream.reset();
      try (GuardStream fresh = streams.open()) {
        assertThat(learned(stream)).isEqualTo(learned(fresh));
      }
    }
  }

  @Test
  void streamsStartWhereTheGuardWasFittedAndLeaveItsOwnAdapterAlone() {
    try (Guard own = Guard.of(model).detect(new Energy()).adapt("eata").fit(digits.limit(400));
        GuardStreams before = own.streams(null, 32);
        PointerScope scope = new PointerScope()) {
      own.answer(faint, false);
      try (GuardStreams after = own.streams(null, 32);
          GuardStream a = before.open();
          GuardStream b = after.open()) {
        assertThat(after.id()).isEqualTo(before.id());
        assertThat(learned(b)).isEqualTo(learned(a));
        assertThat(learned(b).keySet())
            .as("what EATA learned from the source")
            .anyMatch(name -> name.contains("statistics"));
        logits(b, faint, 0, 64, 32);
        assertThat(own.adapter().usage().batches()).isEqualTo(1);
      }
    }
  }

  @Test
  void aGuardWithoutAnAdapterTakesAStackThatNeedsNoSourceData() {
    try (Guard plain = Guard.of(model).detect(new Energy()).fit(digits.limit(400))) {
      assertThatThrownBy(() -> plain.streams(null, 32))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("holds no adapter")
          .hasMessageContaining("eata:beta=0");
      assertThatThrownBy(() -> plain.streams("eata", 32))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("fit the guard with it");
      assertThatThrownBy(() -> plain.streams("tent", 1))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("batches of 2 rows or more");
      assertThatThrownBy(() -> plain.streams("nothing", 32)).isInstanceOf(OutriggerException.class);
      try (GuardStreams streams = plain.streams("bn-adapt", 32);
          GuardStream stream = streams.open()) {
        assertThat(streams.stack()).isEqualTo("safety-net/bn-adapt");
        logits(stream, faint, 0, 64, 32);
        assertThat(stream.batches()).isEqualTo(2);
      }
    }
  }

  @Test
  void aStateOfAnotherStackOrADamagedOneChangesNothing() {
    try (GuardStreams tents = guard.streams(null, 16);
        GuardStreams others = guard.streams("tent:lr=0.01", 16);
        GuardStream tent = tents.open();
        GuardStream other = others.open()) {
      logits(tent, faint, 0, 40, 20);
      logits(other, faint, 0, 40, 20);
      Map<String, List<Double>> before = learned(tent);
      assertThatThrownBy(() -> tent.restore(other.state()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("tent:lr=0.01")
          .hasMessageContaining("start the stream anew");
      assertThatThrownBy(
              () -> tent.restore(new State("guard-stream", 1, tent.state().values(), Map.of())))
          .isInstanceOf(OutriggerException.class);
      assertThat(learned(tent)).isEqualTo(before);
    }
  }

  @Test
  void anAdapterThatFailsStartsOverAndTheModelAnswers() {
    try (GuardStreams streams =
            GuardStreams.of(guard, () -> (SafetyNet) new SafetyNet().over(new Failing()), 16);
        GuardStream stream = streams.open();
        PointerScope scope = new PointerScope()) {
      List<Throwable> told = new ArrayList<>();
      stream.onFailure(told::add);
      Failing.fails = false;
      stream.answer(faint.narrow(0, 0, 32), false);
      Failing.fails = true;
      Tensor some = dark.narrow(0, 0, 16);
      assertThat(stream.answer(some, false).logits())
          .isEqualTo(guard.modelAnswer(some, false).logits());
      assertThat(told).hasSize(1).first().isInstanceOf(IllegalStateException.class);
      assertThat(stream.failures()).isEqualTo(1);
      Failing.fails = false;
      try (GuardStream fresh = streams.open()) {
        assertThat(logits(stream, dark, 16, 64, 16)).isEqualTo(logits(fresh, dark, 16, 64, 16));
      }
    }
  }

  /** Adds up what it saw, and fails in the middle of that when told. */
  @Card(
      slug = "source",
      name = "Failing",
      summary = "Fails.",
      paper = "none",
      year = 2026,
      room = Room.ADAPT,
      needs = {},
      state = "a sum")
  private static final class Failing extends BaseAdapter<Source.Settings> {
    static boolean fails;

    private Model model;

    Failing() {
      super(Source.Settings.defaults());
    }

    @Override
    protected void configure(Model started, IndexedDataset source, State saved) {
      model = started;
    }

    @Override
    protected Output step(Tensor inputs) {
      memory().put("sum", memory().number("sum", 0) + inputs.sum().item().toDouble());
      if (fails) {
        throw new IllegalStateException("told to");
      }
      return new Output(
          model.predict(inputs).logits().add(new Scalar(memory().number("sum", 0))), null);
    }

    @Override
    public Model model() {
      return model;
    }

    @Override
    protected void release() {}
  }

  @Test
  void manyStreamsLeaveNoMemoryBehind() {
    try (GuardStreams streams = guard.streams(null, 16)) {
      double before = 0;
      for (int i = 0; i < 120; i++) {
        if (i == 40) {
          before = ResidentMemory.megabytes();
        }
        try (GuardStream stream = streams.open()) {
          logits(stream, faint, 0, 40, 20);
          assertThat(stream.bytes()).isPositive();
        }
      }
      assertThat(ResidentMemory.megabytes() - before).isLessThan(30);
    }
  }
}
