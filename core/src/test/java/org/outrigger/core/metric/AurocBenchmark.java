package org.outrigger.core.metric;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** AUROC of a million scores: sorting, and the pass over sorted scores that a resample repeats. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(1)
public class AurocBenchmark {
  private double[] id;
  private double[] ood;
  private ScoreTable sorted;

  @Setup
  public void draw() {
    Random random = new Random(1);
    id = random.doubles(500_000).toArray();
    ood = random.doubles(500_000).map(x -> x + 0.2).toArray();
    sorted = ScoreTable.of(id, ood);
  }

  @Benchmark
  public double fromScores() {
    return Auroc.of(id, ood);
  }

  @Benchmark
  public double fromSortedScores() {
    return Auroc.of(sorted);
  }

  @Benchmark
  public Interval tenResamples() {
    return new Bootstrap(10, 0.95, 1).detection(sorted, Auroc::of);
  }
}
