package org.outrigger.adapt;

import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
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
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * What an adapter costs beside the bare forward pass: batches of 64 images of 32 x 32 through a
 * ResNet-8 and a WideResNet-16-2.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class AdapterBenchmark {
  private static final int BATCHES = 16;

  @Param({"resnet8", "wrn16-2"})
  public String network;

  @Param({"source", "lame", "adanpc:capacity=4000", "t3a", "bn-adapt", "tent", "eata"})
  public String adapter;

  private NeuralModel model;
  private Adapter adapting;
  private Tensor images;
  private int at;

  @Setup
  public void setUp() {
    model = NeuralModel.create(network, Map.of(), new long[] {3, 32, 32}, 10, 1);
    adapting = Adapters.parse(adapter);
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(2)) {
            images = Scopes.own(rng.normal(64L * BATCHES, 3, 32, 32));
            // As training leaves a network: with running statistics, so that features differ.
            RunningStatistics.settle(model, List.of(images.narrow(0, 0, 64)));
            Tensor labels = rng.permutation(2000).remainder(new Scalar(10));
            try (TensorDataset source = TensorDataset.of(rng.normal(2000, 3, 32, 32), labels)) {
              adapting.start(model, source);
            }
          }
        });
  }

  @TearDown
  public void tearDown() {
    adapting.close();
    model.close();
    Scopes.release(images);
  }

  private Tensor batch() {
    at++;
    // No batch comes twice: equal rows in a memory would be sorted out at a cost of their own.
    return images.narrow(0, 64L * (at % BATCHES), 64).add(new Scalar(1e-4 * at));
  }

  /** The bare forward pass. */
  @Benchmark
  public long forward() {
    return Scopes.scoped(() -> model.predict(batch()).logits().address());
  }

  /** Predicting and adapting. */
  @Benchmark
  public long adapt() {
    return Scopes.scoped(
        () -> {
          try (Output output = adapting.adapt(batch())) {
            return output.logits().address();
          }
        });
  }
}
