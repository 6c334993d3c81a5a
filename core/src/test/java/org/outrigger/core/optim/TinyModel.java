package org.outrigger.core.optim;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** A two-layer perceptron with dropout and one counting buffer. */
final class TinyModel implements Model, Capabilities.Differentiable, Capabilities.HasGenerators {
  private final Map<String, Tensor> parameters = new LinkedHashMap<>();
  private final Tensor passes;
  private final Rng dropout;
  private final int classes;
  boolean training;

  TinyModel(int inputs, int hidden, int classes, long seed) {
    this.classes = classes;
    dropout = Rng.named(seed, "dropout");
    try (Rng init = Rng.named(seed, "init")) {
      parameter("w1", init.normal(hidden, inputs));
      parameter("b1", init.normal(hidden));
      parameter("w2", init.normal(classes, hidden));
      parameter("b2", init.normal(classes));
    }
    passes = Scopes.own(torch.zeros(new long[] {1}).to(ScalarType.Long));
  }

  private void parameter(String name, Tensor values) {
    parameters.put(name, Scopes.own(values.mul(new Scalar(0.3)).detach().requires_grad_(true)));
  }

  @Override
  public Output forward(Tensor inputs) {
    Tensor hidden =
        inputs.flatten(1, -1).matmul(parameters.get("w1").t()).add(parameters.get("b1")).relu();
    if (training) {
      passes.add_(new Scalar(1));
      Tensor keep = dropout.uniform(hidden.shape()).lt(new Scalar(0.9));
      hidden = hidden.mul(keep).div(new Scalar(0.9));
    }
    return new Output(hidden.matmul(parameters.get("w2").t()).add(parameters.get("b2")), hidden);
  }

  @Override
  public Output predict(Tensor inputs, List<String> maps) {
    return Scopes.grad(false, () -> forward(inputs));
  }

  @Override
  public Map<String, Tensor> parameters() {
    return parameters;
  }

  @Override
  public Map<String, Tensor> buffers() {
    return Map.of("passes", passes);
  }

  @Override
  public Map<String, Rng> generators() {
    return Map.of("dropout", dropout);
  }

  @Override
  public void train(boolean on) {
    training = on;
  }

  @Override
  public String name() {
    return "tiny";
  }

  @Override
  public int classes() {
    return classes;
  }

  @Override
  public Set<Need> offers() {
    return Set.of();
  }

  @Override
  public void close() {
    parameters.values().forEach(Scopes::release);
    Scopes.release(passes);
    dropout.close();
  }
}
