package org.outrigger.detect;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
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
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Heads;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * Fitting on and scoring of 50,000 x 512 float32 features with 100 classes; those that look for
 * neighbours score 10,000 queries. The products that KNN and Mahalanobis cannot do without are
 * measured beside them, so that one run gives the ratios.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 1, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(1)
public class DetectorBenchmark {
  private static final long ROWS = 50_000;
  private static final long DIMENSION = 512;
  private static final long CLASSES = 100;
  private static final long QUERIES = 10_000;

  /** Features with classes, a head, and their outputs. */
  @State(Scope.Benchmark)
  public static class Data {
    Tensor features;
    Tensor labels;
    LinearHead head;
    Output output;
    Output queries;
    Output zeroShot;
    Outputs known;
    Outputs zeroShotKnown;
    Tensor bank;
    Tensor unit;
    Tensor square;
    Tensor centres;

    @Setup(Level.Trial)
    public void make() {
      Torch.start();
      Scopes.run(
          () -> {
            try (Rng rng = new Rng(1)) {
              Tensor means = rng.uniform(CLASSES, DIMENSION).mul(new Scalar(2.0));
              labels =
                  Scopes.own(
                      torch
                          .arange(
                              new Scalar(0), new Scalar(ROWS), new TensorOptions(ScalarType.Long))
                          .remainder(new Scalar(CLASSES)));
              features =
                  Scopes.own(means.index_select(0, labels).add(rng.normal(ROWS, DIMENSION)).relu());
              head =
                  new LinearHead(
                      Scopes.own(means), Scopes.own(means.square().sum(1).mul(new Scalar(-0.5))));
              Tensor logits = Scopes.own(head.apply(features));
              // Two modalities whose predictions differ: the second one's are those of other rows.
              Tensor both = torch.cat(new TensorVector(logits, logits.flip(0)), 1);
              output =
                  new Output(
                      logits, features, Map.of(Capabilities.HasModalities.HEADS, Scopes.own(both)));
              queries =
                  new Output(
                      Scopes.own(logits.narrow(0, 0, QUERIES)),
                      Scopes.own(features.narrow(0, 0, QUERIES)));
              known =
                  Outputs.withHeads(
                      output,
                      labels,
                      new Heads(head, null, new TemperatureHead(DIMENSION, CLASSES, rng)));
              bank = Scopes.own(Knn.unit(features));
              unit = Scopes.own(bank.narrow(0, 0, QUERIES));
              LinearHead yes = cosines(means);
              zeroShot = new Output(Scopes.own(yes.apply(bank)), bank);
              zeroShotKnown =
                  Outputs.withHeads(zeroShot, labels, new Heads(yes, cosines(means.flip(0)), null));
              square = Scopes.own(rng.normal(DIMENSION, DIMENSION));
              centres = Scopes.own(rng.normal(CLASSES, DIMENSION));
            }
          });
    }
  }

  /** Class weights as a zero-shot model has them: of unit length, times a scale, without bias. */
  private static LinearHead cosines(Tensor means) {
    return new LinearHead(
        Scopes.own(Knn.unit(means).mul(new Scalar(20.0))), Scopes.own(torch.zeros(CLASSES)));
  }

  /** One fitted detector. */
  @State(Scope.Benchmark)
  public static class One {
    @Param({
      "msp",
      "maxlogit",
      "energy",
      "entropy",
      "gen",
      "mcm",
      "mahalanobis",
      "relative-mahalanobis",
      "ssd-plus",
      "she",
      "residual",
      "vim",
      "nnguide",
      "react",
      "dice",
      "ash-p",
      "ash-b",
      "ash-s",
      "scale",
      "gradnorm",
      "fdbd",
      "nci",
      "vra",
      "kl-matching",
      "openmax",
      "weighted-energy",
      "abet",
      "clipn",
      "modality-discrepancy",
      "rank-ensemble",
      "knn",
      "pt-ood"
    })
    public String slug;

    Detector detector;
    Outputs known;
    Output scored;

    @Setup(Level.Trial)
    public void fit(Data data) {
      Map<String, Object> changes =
          slug.equals("residual") ? Map.<String, Object>of("dim", 256) : Map.of();
      detector = Methods.create(Detector.class, slug, changes);
      boolean zeroShot = slug.equals("clipn");
      known = zeroShot ? data.zeroShotKnown : data.known;
      detector.fit(known);
      boolean slow = Set.of("knn", "pt-ood", "rank-ensemble").contains(slug);
      scored = zeroShot ? data.zeroShot : slow ? data.queries : data.output;
    }

    @TearDown(Level.Trial)
    public void close() {
      detector.close();
    }
  }

  @Benchmark
  public void fit(One one) {
    one.detector.fit(one.known);
  }

  @Benchmark
  public void score(One one) {
    Scopes.run(() -> one.detector.score(one.scored));
  }

  /** What KNN is measured against, in slices so that the result needs not 2 GB. */
  @Benchmark
  public void knnBareProduct(Data data) {
    for (long from = 0; from < QUERIES; from += 2000) {
      long start = from;
      Scopes.run(() -> data.unit.narrow(0, start, 2000).mm(data.bank.t()));
    }
  }

  /** What Mahalanobis is measured against. */
  @Benchmark
  public void mahalanobisBareProducts(Data data) {
    Scopes.run(() -> data.features.mm(data.square).mm(data.centres.t()));
  }
}
