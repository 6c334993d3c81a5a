package org.outrigger.select;

import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
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
import org.outrigger.core.torch.Torch;

/**
 * Scoring 50,000 x 1,024 float32 features with 100 classes; {@code -p rows=5000 -p dimension=256}
 * for a smaller one. {@code select/src/benchmark/numpy_scores.py} does the same with NumPy.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 1)
@Measurement(iterations = 3)
@Fork(1)
public class SelectBenchmark {
  @Param({"50000"})
  public long rows;

  @Param({"1024"})
  public long dimension;

  @Param({"100"})
  public long classes;

  @Param({
    "leep",
    "nce",
    "logme",
    "hscore",
    "hscore-regularised",
    "gbc",
    "sfda",
    "parc",
    "transrate",
    "tmi",
    "knn-accuracy",
    "probe-accuracy"
  })
  public String slug;

  private ModelScore score;
  private Tensor features;
  private Tensor labels;
  private Tensor probabilities;
  private Candidate candidate;

  /** Clouds around class means. */
  @Setup(Level.Trial)
  public void make() {
    Torch.start();
    score = Methods.create(ModelScore.class, slug, Map.of());
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1)) {
            labels =
                Scopes.own(
                    torch
                        .arange(new Scalar(0), new Scalar(rows), new TensorOptions(ScalarType.Long))
                        .remainder(new Scalar(classes)));
            Tensor means = rng.normal(classes, dimension);
            features =
                Scopes.own(means.index_select(0, labels).add(rng.normal(rows, dimension)).relu());
            probabilities = Scopes.own(features.mm(means.t()).softmax(1));
          }
        });
    candidate = new Candidate(features, labels, probabilities);
  }

  @TearDown(Level.Trial)
  public void close() {
    Scopes.release(features);
    Scopes.release(labels);
    Scopes.release(probabilities);
  }

  @Benchmark
  public double score() {
    return score.score(candidate);
  }
}
