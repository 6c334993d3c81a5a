package org.outrigger.stream.memory;

import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * What a correction and a write cost, of one event and of 128, by how many events the memory holds:
 * a sketch takes the same time for all, a sample memory scans.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class StreamMemoryBenchmark {
  private static final int DIMENSION = 16;

  @Param({"sketch", "samples"})
  public String memory;

  @Param({"1", "128"})
  public int rows;

  @Param({"4000", "64000"})
  public int events;

  private ReLoop2 live;
  private Tensor keys;
  private Tensor base;
  private Tensor labels;

  @Setup
  public void setUp() {
    ReLoop2.Settings settings = ReLoop2.Settings.defaults().withCapacity(events);
    live = new ReLoop2(memory.equals("sketch") ? settings : settings.withSamples(180));
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor many = rng.normal(ScalarType.Double, events, DIMENSION);
      live.start(many, "benchmark");
      live.write(
          many,
          rng.uniform(ScalarType.Double, events).round(),
          rng.uniform(ScalarType.Double, events));
      keys = Scopes.own(rng.normal(ScalarType.Double, rows, DIMENSION));
      base = Scopes.own(rng.uniform(ScalarType.Double, rows));
      labels = Scopes.own(rng.uniform(ScalarType.Double, rows).round());
    }
  }

  @TearDown
  public void tearDown() {
    live.close();
    Scopes.release(keys);
    Scopes.release(base);
    Scopes.release(labels);
  }

  @Benchmark
  public long correct() {
    try (Correction correction = live.correct(keys, base)) {
      return correction.probabilities().address();
    }
  }

  @Benchmark
  public long write() {
    live.write(keys, labels, base);
    return live.written();
  }
}
