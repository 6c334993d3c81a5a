package org.outrigger.core.model;

import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
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
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** What a prediction costs: one row through an MLP, and a batch of 64 through ResNet-18. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class NeuralModelBenchmark {
  private NeuralModel mlp;
  private NeuralModel resnet18;
  private Tensor row;
  private Tensor images;
  private Tensor[] weights;
  private TensorOptional[] biases;

  @Setup
  public void setUp() {
    mlp = NeuralModel.create("mlp", Map.of(), new long[] {64}, 10, 1);
    resnet18 = NeuralModel.create("resnet18", Map.of(), new long[] {3, 32, 32}, 10, 1);
    try (Rng rng = new Rng(2)) {
      row = Scopes.own(rng.normal(1, 64));
      images = Scopes.own(rng.normal(64, 3, 32, 32));
    }
    String[] names = {"fc1", "fc2", "head"};
    weights = new Tensor[names.length];
    biases = new TensorOptional[names.length];
    for (int i = 0; i < names.length; i++) {
      weights[i] = mlp.parameters().get(names[i] + ".weight");
      biases[i] = new TensorOptional(mlp.parameters().get(names[i] + ".bias")).retainReference();
    }
  }

  @TearDown
  public void tearDown() {
    mlp.close();
    resnet18.close();
    Scopes.release(row);
    Scopes.release(images);
    for (TensorOptional bias : biases) {
      bias.releaseReference();
    }
  }

  /** The same products without layers: what the native calls alone cost. */
  @Benchmark
  public long mlpRowBareCalls() {
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      Tensor h = torch.relu(torch.linear(row, weights[0], biases[0]));
      h = torch.relu(torch.linear(h, weights[1], biases[1]));
      return torch.linear(h, weights[2], biases[2]).address();
    }
  }

  @Benchmark
  public long mlpRow() {
    try (Output output = mlp.predict(row)) {
      return output.logits().address();
    }
  }

  @Benchmark
  public long resnet18Batch64() {
    try (Output output = resnet18.predict(images)) {
      return output.logits().address();
    }
  }
}
