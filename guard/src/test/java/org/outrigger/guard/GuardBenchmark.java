package org.outrigger.guard;

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
import org.outrigger.detect.Energy;

/**
 * What a guard with energy and temperature scaling adds to the model's forward pass: 64 images of
 * 32 x 32 through ResNet-18, and one row through an MLP.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 3)
@Fork(1)
public class GuardBenchmark {
  private NeuralModel mlp;
  private NeuralModel resnet18;
  private Guard mlpGuard;
  private Guard resnetGuard;
  private Tensor row;
  private Tensor images;

  @Setup
  public void setUp() {
    mlp = NeuralModel.create("mlp", Map.of(), new long[] {64}, 10, 1);
    resnet18 = NeuralModel.create("resnet18", Map.of(), new long[] {3, 32, 32}, 10, 1);
    mlpGuard = guard(mlp, 64);
    resnetGuard = guard(resnet18, 3, 32, 32);
    try (Rng rng = new Rng(2)) {
      row = Scopes.own(rng.normal(1, 64));
      images = Scopes.own(rng.normal(64, 3, 32, 32));
    }
  }

  private static Guard guard(NeuralModel model, long... shape) {
    long[] batch = new long[shape.length + 1];
    batch[0] = 200;
    System.arraycopy(shape, 0, batch, 1, shape.length);
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(3)) {
            Tensor labels = rng.permutation(200).remainder(new Scalar(10));
            return Guard.of(model)
                .detect(new Energy())
                .fit(TensorDataset.of(rng.normal(batch), labels));
          }
        });
  }

  @TearDown
  public void tearDown() {
    mlpGuard.close();
    resnetGuard.close();
    mlp.close();
    resnet18.close();
    Scopes.release(row);
    Scopes.release(images);
  }

  @Benchmark
  public long mlpRowForward() {
    try (Output output = mlp.predict(row)) {
      return output.logits().address();
    }
  }

  @Benchmark
  public List<Verdict> mlpRowCheck() {
    return mlpGuard.check(row);
  }

  @Benchmark
  public long resnet18Forward() {
    try (Output output = resnet18.predict(images)) {
      return output.logits().address();
    }
  }

  @Benchmark
  public List<Verdict> resnet18Check() {
    return resnetGuard.check(images);
  }
}
