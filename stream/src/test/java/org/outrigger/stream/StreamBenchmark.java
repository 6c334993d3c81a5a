package org.outrigger.stream;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** Updates a second of each stream detector, and tests a second of 1,000 rows of 32 features. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 1, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(1)
public class StreamBenchmark {
  private static final int VALUES = 10_000;

  /** One detector and errors of a constant rate. */
  @State(Scope.Benchmark)
  public static class Stream {
    @Param({"page-hinkley", "cusum", "ddm", "eddm", "hddm-a", "hddm-w", "adwin", "kswin"})
    public String slug;

    final double[] values = new double[VALUES];
    DriftDetector detector;

    @Setup(Level.Trial)
    public void make() {
      SplittableRandom random = new SplittableRandom(1);
      for (int i = 0; i < VALUES; i++) {
        values[i] = random.nextDouble() < 0.2 ? 1 : 0;
      }
      detector = Methods.parseOne(DriftDetector.class, slug);
    }
  }

  /** One fitted test and a batch. */
  @State(Scope.Benchmark)
  public static class Samples {
    @Param({"ks-test", "cramer-von-mises", "psi", "wasserstein:permutations=0", "mmd-test", "c2st"})
    public String slug;

    DriftTest test;
    Tensor batch;

    @Setup(Level.Trial)
    public void make() {
      test = Methods.parseOne(DriftTest.class, slug);
      Scopes.run(
          () -> {
            try (Rng rng = new Rng(1)) {
              test.fit(rng.normal(torch.ScalarType.Double, 1000, 32));
              batch = Scopes.own(rng.normal(torch.ScalarType.Double, 1000, 32));
            }
          });
    }

    @TearDown(Level.Trial)
    public void close() {
      test.close();
      Scopes.release(batch);
    }
  }

  @Benchmark
  @OperationsPerInvocation(VALUES)
  public DriftLevel update(Stream stream) {
    DriftLevel level = DriftLevel.NONE;
    for (double value : stream.values) {
      level = stream.detector.update(value);
    }
    return level;
  }

  @Benchmark
  public boolean test(Samples samples) {
    return samples.test.test(samples.batch).drift();
  }
}
