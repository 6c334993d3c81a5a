package org.outrigger.stream.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class ReLoop2Test {
  private static final int D = 5;

  private static ReLoop2.Settings small(ReLoop2.Memory memory) {
    ReLoop2.Settings settings = ReLoop2.Settings.defaults().withCapacity(40).withLambda(0.7);
    return memory == ReLoop2.Memory.SAMPLES ? settings.withSamples(6) : settings.withSketch(5, 3);
  }

  private static Tensor keys(Rng rng, long rows) {
    return rng.normal(ScalarType.Double, rows, D);
  }

  private static Tensor labels(Rng rng, long rows) {
    return rng.uniform(ScalarType.Double, rows).round();
  }

  private static double[] served(ReLoop2 memory, Tensor keys, Tensor base) {
    return Tensors.doubles(memory.correct(keys, base).probabilities());
  }

  @ParameterizedTest
  @EnumSource
  void anEmptyMemoryChangesNothing(ReLoop2.Memory kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1);
        ReLoop2 memory = new ReLoop2(small(kind))) {
      memory.start(keys(rng, 30), "1");
      Tensor base = rng.uniform(ScalarType.Double, 4);
      Correction correction = memory.correct(keys(rng, 4), base);
      assertThat(Tensors.doubles(correction.probabilities()))
          .containsExactly(Tensors.doubles(base));
      assertThat(Tensors.doubles(correction.errors())).containsOnly(0);
      assertThat(Tensors.doubles(correction.labels())).containsOnly(Double.NaN);
      assertThat(Tensors.longs(correction.filled())).containsOnly(0);
    }
  }

  @ParameterizedTest
  @EnumSource
  void whatWasJustSeenPullsItsLikesTowardsItsLabel(ReLoop2.Memory kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2);
        ReLoop2 memory = new ReLoop2(small(kind))) {
      memory.start(keys(rng, 30), "1");
      Tensor key = keys(rng, 1);
      Tensor base = Tensors.of(new double[] {0.2}, 1);
      memory.write(key, Tensors.of(new double[] {1}, 1), base);
      // One event fills every bucket of its own: the mean label is 1.
      assertThat(served(memory, key, base)[0]).isCloseTo(0.2 + 0.7 * 0.8, within(1e-12));
      memory.clear();
      assertThat(served(memory, key, base)[0]).isEqualTo(0.2);
      assertThat(memory.size()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void probabilitiesStayProbabilitiesAndAttentionSumsToOne(ReLoop2.Memory kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3)) {
      for (double gamma : new double[] {0, 0.5, 1}) {
        Map<String, Object> settings = new LinkedHashMap<>(Methods.values(small(kind)));
        settings.put("gamma", gamma);
        settings.put("lambda", 1.0);
        try (ReLoop2 memory = Methods.create(ReLoop2.class, "reloop2", settings)) {
          memory.start(keys(rng, 30), "1");
          memory.write(keys(rng, 33), labels(rng, 33), rng.uniform(ScalarType.Double, 33));
          Correction made = memory.correct(keys(rng, 50), rng.uniform(ScalarType.Double, 50));
          assertThat(made.probabilities().min().item_double()).isNotNegative();
          assertThat(made.probabilities().max().item_double()).isLessThanOrEqualTo(1);
          double[] sums = Tensors.doubles(made.attention().sum(1));
          long[] filled = Tensors.longs(made.filled());
          for (int i = 0; i < sums.length; i++) {
            assertThat(sums[i]).isCloseTo(filled[i] > 0 ? 1 : 0, within(1e-12));
          }
        }
      }
    }
  }

  /** A memory that forgot the oldest events is one that never saw them. */
  @ParameterizedTest
  @EnumSource
  void theOldestEventsLeaveWithoutATrace(ReLoop2.Memory kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(4);
        ReLoop2 longer = new ReLoop2(small(kind));
        ReLoop2 shorter = new ReLoop2(small(kind))) {
      Tensor training = keys(rng, 30);
      longer.start(training, "1");
      shorter.start(training, "1");
      Tensor keys = keys(rng, 155);
      Tensor labels = labels(rng, 155);
      Tensor base = rng.uniform(ScalarType.Double, 155);
      for (int from = 0; from < 155; from += 31) {
        longer.write(
            keys.narrow(0, from, 31), labels.narrow(0, from, 31), base.narrow(0, from, 31));
      }
      shorter.write(keys.narrow(0, 115, 40), labels.narrow(0, 115, 40), base.narrow(0, 115, 40));
      assertThat(longer.size()).isEqualTo(40);
      assertThat(longer.written()).isEqualTo(155);
      Tensor queries = keys(rng, 20);
      Tensor predicted = rng.uniform(ScalarType.Double, 20);
      double[] a = served(longer, queries, predicted);
      double[] b = served(shorter, queries, predicted);
      for (int i = 0; i < a.length; i++) {
        assertThat(a[i]).isCloseTo(b[i], within(1e-9));
      }
      // More than the capacity at once: the last count.
      longer.write(keys, labels, base);
      double[] c = served(longer, queries, predicted);
      for (int i = 0; i < a.length; i++) {
        assertThat(c[i]).isCloseTo(b[i], within(1e-9));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aSavedMemoryContinuesToTheLastBit(ReLoop2.Memory kind, @TempDir Path folder) {
    Torch.start();
    Map<String, Object> changes = new LinkedHashMap<>(Methods.values(small(kind)));
    changes.put("keep", 0.6);
    changes.put("sigma", 0.2);
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(5);
        ReLoop2 memory = Methods.create(ReLoop2.class, "reloop2", changes);
        ReLoop2 restored = Methods.create(ReLoop2.class, "reloop2", changes)) {
      memory.start(keys(rng, 30), "model 7");
      memory.write(keys(rng, 70), labels(rng, 70), rng.uniform(ScalarType.Double, 70));
      Path file = folder.resolve("memory.safetensors");
      StateFiles.write(file, memory.state());
      restored.restore(StateFiles.read(file));
      assertThat(restored.version()).isEqualTo("model 7");
      assertThat(restored.size()).isEqualTo(memory.size());
      Tensor queries = keys(rng, 20);
      Tensor base = rng.uniform(ScalarType.Double, 20);
      for (int i = 0; i < 3; i++) {
        assertThat(served(restored, queries, base)).containsExactly(served(memory, queries, base));
        Tensor more = keys(rng, 25);
        Tensor labels = labels(rng, 25);
        Tensor predicted = rng.uniform(ScalarType.Double, 25);
        memory.write(more, labels, predicted);
        restored.write(more, labels, predicted);
      }
      assertThat(restored.written()).isEqualTo(memory.written());
    }
  }

  @ParameterizedTest
  @EnumSource
  void aDamagedStateChangesNothing(ReLoop2.Memory kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(6);
        ReLoop2 memory = new ReLoop2(small(kind));
        ReLoop2 other = new ReLoop2(small(kind).withLambda(0.1))) {
      memory.start(keys(rng, 30), "1");
      memory.write(keys(rng, 9), labels(rng, 9), rng.uniform(ScalarType.Double, 9));
      State good = memory.state();
      Tensor queries = keys(rng, 5);
      Tensor base = rng.uniform(ScalarType.Double, 5);
      double[] before = served(memory, queries, base);
      for (String name : good.tensors().keySet()) {
        Map<String, Tensor> fewer = new LinkedHashMap<>(good.tensors());
        fewer.remove(name);
        assertThatThrownBy(() -> memory.restore(new State(good.type(), 1, good.values(), fewer)))
            .as(name)
            .isInstanceOf(OutriggerException.class);
      }
      for (String name : List.of("size", "next", "written", "version")) {
        Map<String, Object> values = new LinkedHashMap<>(good.values());
        values.put(name, name.equals("version") ? 7 : "much");
        assertThatThrownBy(() -> memory.restore(new State(good.type(), 1, values, good.tensors())))
            .as(name)
            .isInstanceOf(OutriggerException.class);
      }
      Map<String, Object> beyond = new LinkedHashMap<>(good.values());
      beyond.put("next", 1000);
      assertThatThrownBy(() -> memory.restore(new State(good.type(), 1, beyond, good.tensors())))
          .hasMessageContaining("damaged");
      assertThatThrownBy(() -> other.restore(good)).hasMessageContaining("other settings");
      assertThat(served(memory, queries, base)).containsExactly(before);
    }
  }

  @ParameterizedTest
  @EnumSource
  void badEventsAreRefusedBeforeAnythingChanges(ReLoop2.Memory kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(7);
        ReLoop2 memory = new ReLoop2(small(kind))) {
      Tensor keys = keys(rng, 3);
      Tensor half = Tensors.of(new double[] {0.5, 0.5, 0.5}, 3);
      assertThatThrownBy(() -> memory.correct(keys, half)).hasMessageContaining("not started");
      assertThatThrownBy(() -> memory.start(keys.div(new Scalar(0.0)), "1"))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("NaN or infinite");
      memory.start(keys, "1");
      Tensor outside = Tensors.of(new double[] {0, 1.5, 0}, 3);
      assertThatThrownBy(() -> memory.write(keys, outside, half))
          .hasMessageContaining("labels holds values outside 0 to 1");
      assertThatThrownBy(() -> memory.write(keys, half, outside))
          .hasMessageContaining("base holds values outside 0 to 1");
      assertThatThrownBy(() -> memory.correct(rng.normal(ScalarType.Double, 3, D + 1), half))
          .hasMessageContaining("D = 5");
      assertThatThrownBy(() -> memory.write(keys, half.narrow(0, 0, 2), half))
          .hasMessageContaining("N = 3");
      Tensor none = torch.zeros(0, D).to(ScalarType.Double);
      assertThatThrownBy(() -> memory.correct(none, half.narrow(0, 0, 0)))
          .hasMessageContaining("empty");
      assertThat(memory.size()).isZero();
      for (String wrong : List.of("lambda=1.1", "bits=25", "tau=0", "gamma=-1", "keep=0", "k=0")) {
        String[] parts = wrong.split("=");
        assertThatThrownBy(
                () -> Methods.create(ReLoop2.class, "reloop2", Map.of(parts[0], parts[1])))
            .hasMessageContaining(parts[0])
            .hasMessageContaining("out of range");
      }
    }
  }

  @Test
  void theSampleMemoryKeepsLargeErrorsAlone() {
    Torch.start();
    Map<String, Object> changes = Map.of("memory", "samples", "sigma", 0.5, "capacity", 10);
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(8);
        ReLoop2 memory = Methods.create(ReLoop2.class, "reloop2", changes)) {
      memory.start(keys(rng, 30), "1");
      memory.write(
          keys(rng, 4),
          Tensors.of(new double[] {1, 1, 0, 0}, 4),
          Tensors.of(new double[] {0.1, 0.9, 0.4, 0.8}, 4));
      assertThat(memory.size()).isEqualTo(2);
      assertThat(memory.written()).isEqualTo(4);
    }
  }

  @Test
  void anglesDecideHowOftenKeysShareABucket() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      int bits = 4;
      Tensor projections = SketchMemory.draw(4000, bits, 2, 9);
      for (double angle : new double[] {0.2, 0.8, 2}) {
        Tensor pair =
            Tensors.of(new double[][] {{1, 0}, {3 * Math.cos(angle), 3 * Math.sin(angle)}});
        Tensor buckets = SketchMemory.buckets(pair, projections);
        double shared =
            buckets
                .select(0, 0)
                .eq(buckets.select(0, 1))
                .to(ScalarType.Double)
                .mean()
                .item_double();
        assertThat(shared).isCloseTo(Math.pow(1 - angle / Math.PI, bits), within(0.03));
      }
    }
  }

  /** What the documentation promises: memory is a matter of settings, not of events. */
  @Test
  void memoryIsAsLargeAsDocumentedAndDoesNotGrow() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(10);
        ReLoop2 sketch = new ReLoop2(small(ReLoop2.Memory.SKETCH));
        ReLoop2 samples = new ReLoop2(small(ReLoop2.Memory.SAMPLES))) {
      Tensor training = keys(rng, 30);
      sketch.start(training, "1");
      samples.start(training, "1");
      long ofSketch = 24 * 5 * 8 + 40 * (8 * 5 + 16) + 8 * 5 * 3 * D;
      assertThat(sketch.bytes()).isEqualTo(ofSketch + 8 * D);
      assertThat(samples.bytes()).isEqualTo(8 * 40 * (D + 2) + 8 * D);
      double start = 0;
      for (int i = 0; i < 3000; i++) {
        try (PointerScope inner = new PointerScope()) {
          Tensor keys = keys(rng, 8);
          Tensor base = rng.uniform(ScalarType.Double, 8);
          for (ReLoop2 memory : List.of(sketch, samples)) {
            Correction made = memory.correct(keys, base);
            memory.write(keys, made.probabilities().round(), base);
          }
        }
        if (i == 1000) {
          start = ResidentMemory.megabytes();
        }
      }
      assertThat(ResidentMemory.megabytes() - start).isLessThan(32);
      assertThat(sketch.bytes()).isEqualTo(ofSketch + 8 * D);
    }
  }

  @ParameterizedTest
  @EnumSource
  void servingGoesOnWhileItLearns(ReLoop2.Memory kind) throws Exception {
    Torch.start();
    AtomicBoolean done = new AtomicBoolean();
    ExecutorService threads = Executors.newFixedThreadPool(3);
    try (ReLoop2 memory = new ReLoop2(small(kind))) {
      try (PointerScope scope = new PointerScope();
          Rng rng = new Rng(11)) {
        memory.start(keys(rng, 30), "1");
      }
      List<Future<Integer>> serving =
          IntStream.range(0, 2)
              .mapToObj(
                  i ->
                      threads.submit(
                          () -> {
                            int served = 0;
                            try (Rng rng = new Rng(20 + i)) {
                              while (!done.get() || served < 20) {
                                try (PointerScope scope = new PointerScope()) {
                                  Correction made =
                                      memory.correct(
                                          keys(rng, 4), rng.uniform(ScalarType.Double, 4));
                                  // Every label is 1: no half-written bucket has another mean.
                                  for (double label : Tensors.doubles(made.labels())) {
                                    if (!Double.isNaN(label)) {
                                      assertThat(label).isCloseTo(1, within(1e-9));
                                    }
                                  }
                                  served++;
                                }
                              }
                            }
                            return served;
                          }))
              .toList();
      Future<?> learning =
          threads.submit(
              () -> {
                try (Rng rng = new Rng(30)) {
                  for (int i = 0; i < 300; i++) {
                    try (PointerScope scope = new PointerScope()) {
                      memory.write(
                          keys(rng, 7),
                          torch.ones(7).to(ScalarType.Double),
                          rng.uniform(ScalarType.Double, 7));
                    }
                  }
                }
              });
      learning.get();
      done.set(true);
      for (Future<Integer> each : serving) {
        assertThat(each.get()).isGreaterThanOrEqualTo(20);
      }
      assertThat(memory.written()).isEqualTo(2100);
    } finally {
      threads.shutdownNow();
    }
  }
}
