package org.outrigger.evaluate.corruption;

import java.util.concurrent.TimeUnit;
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
import org.openjdk.jmh.annotations.Warmup;

/** Images a second on one thread, colour, severity 3. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 1, time = 1)
@Measurement(iterations = 2, time = 1)
public class CorruptionBenchmark {
  @Param public Corruption corruption = Corruption.FOG;

  @Param({"32", "224"})
  public int side;

  private Image image = new Image(1, 1, 1, new double[1]);
  private long index;

  @Setup
  public void prepare() {
    float[] floats = Pictures.make(1, 3, side);
    double[] data = new double[floats.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = floats[i];
    }
    image = new Image(3, side, side, data);
  }

  @Benchmark
  public Image images() {
    return corruption.apply(image, 3, Scale.of(side, side), 0, index++);
  }
}
