package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Turns features into unit embeddings while a network is trained, and is left behind afterwards:
 * {@code normalise(W2 relu(W1 z + b1) + b2)}, W1 [D, D], W2 [E, D].
 */
final class ProjectionHead {
  private static final String[] NAMES = {
    "head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"
  };

  private final Map<String, Tensor> tensors = new LinkedHashMap<>();

  private ProjectionHead(Map<String, Tensor> values) {
    values.forEach(
        (name, tensor) -> {
          Tensor owned = Scopes.own(tensor);
          owned.requires_grad_(true);
          tensors.put(name, owned);
        });
  }

  /** A new one with uniform weights within 1 / sqrt(D). */
  static ProjectionHead draw(long dimension, long embedding, Rng rng) {
    return Scopes.scoped(
        () -> {
          double bound = 1 / Math.sqrt(dimension);
          Map<String, Tensor> made = new LinkedHashMap<>();
          made.put(NAMES[0], rng.fillUniform(floats(dimension, dimension), -bound, bound));
          made.put(NAMES[1], rng.fillUniform(floats(dimension), -bound, bound));
          made.put(NAMES[2], rng.fillUniform(floats(embedding, dimension), -bound, bound));
          made.put(NAMES[3], rng.fillUniform(floats(embedding), -bound, bound));
          return new ProjectionHead(made);
        });
  }

  /** One with the weights of a saved one, which {@link #check} has seen. */
  static ProjectionHead of(State state) {
    return Scopes.scoped(
        () -> {
          Map<String, Tensor> made = new LinkedHashMap<>();
          for (String name : NAMES) {
            made.put(name, state.tensor(name).to(ScalarType.Float).clone());
          }
          return new ProjectionHead(made);
        });
  }

  private static Tensor floats(long... shape) {
    return torch.zeros(shape, new TensorOptions(ScalarType.Float));
  }

  /** Demands the weights of a head from D to E in a saved state. */
  static void check(Shapes shapes, State state) {
    shapes
        .tensor("The saved head.0.weight", state.tensor(NAMES[0]), "D", "D")
        .tensor("The saved head.0.bias", state.tensor(NAMES[1]), "D")
        .tensor("The saved head.2.weight", state.tensor(NAMES[2]), "E", "D")
        .tensor("The saved head.2.bias", state.tensor(NAMES[3]), "E");
  }

  /** Demands that this one goes from D to E too. */
  void check(Shapes shapes) {
    shapes
        .tensor("The projection head's first weight", tensor(NAMES[0]), "D", "D")
        .tensor("The projection head's second weight", tensor(NAMES[2]), "E", "D");
  }

  /** Takes the weights of a saved one into the same tensors: an optimiser may hold them. */
  void copy(State state) {
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  tensors.forEach((name, tensor) -> tensor.copy_(state.tensor(name)));
                  return true;
                }));
  }

  /** The number of features D. */
  long dimension() {
    return tensor(NAMES[0]).size(0);
  }

  /**
   * Unit embeddings.
   *
   * @param features [N, D]
   * @return float32 [N, E]
   */
  Tensor embed(Tensor features) {
    return Scopes.tensor(
        () -> {
          Tensor x = features.to(ScalarType.Float);
          Tensor hidden = torch.relu(torch.addmm(tensor(NAMES[1]), x, tensor(NAMES[0]).t()));
          return unit(torch.addmm(tensor(NAMES[3]), hidden, tensor(NAMES[2]).t()));
        });
  }

  /** Rows scaled to unit length; one of zeros stays. */
  static Tensor unit(Tensor rows) {
    Tensor length = rows.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true);
    return rows.div(length.clamp_min(new Scalar(1e-12)));
  }

  private Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException("The projection head has been closed: make a new one.");
    }
    return tensor;
  }

  /** The weights by name, borrowed. */
  Map<String, Tensor> tensors() {
    return tensors;
  }

  /** The weights by name after a prefix, borrowed. */
  Map<String, Tensor> parameters(String prefix) {
    Map<String, Tensor> parameters = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> parameters.put(prefix + "." + name, tensor));
    return parameters;
  }

  void release() {
    tensors.values().forEach(Scopes::release);
    tensors.clear();
  }
}
