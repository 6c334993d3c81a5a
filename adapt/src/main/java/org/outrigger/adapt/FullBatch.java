package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntFunction;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.OfflineAdapter.Listener;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Init;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.TensorFlowAdam;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** What the networks over feature matrices share: weights, layers, training on all rows at once. */
final class FullBatch {
  private static final double SLOPE = 0.2;
  private static final double TINY = 1e-12;
  private static final double DEVIATION = 0.01;

  private FullBatch() {}

  /**
   * Trains weights in place.
   *
   * @param weights by name
   * @param loss of an iteration, from 1
   * @return the loss before each step
   */
  static double[] train(
      Map<String, Tensor> weights,
      int iterations,
      double rate,
      IntFunction<Tensor> loss,
      Listener listener) {
    double[] trace = new double[iterations];
    weights.values().forEach(weight -> weight.requires_grad_(true));
    try (Adam adam = new TensorFlowAdam(weights, Adam.Settings.of(rate))) {
      for (int i = 1; i <= iterations; i++) {
        try (PointerScope scope = new PointerScope()) {
          Tensor value = loss.apply(i);
          trace[i - 1] = value.item_double();
          if (!Double.isFinite(trace[i - 1])) {
            throw new OutriggerException(
                "The loss became "
                    + trace[i - 1]
                    + " in iteration "
                    + i
                    + ": lower the learning rate (now "
                    + rate
                    + ").");
          }
          adam.step(gradients(value, weights));
        }
        listener.stepped(i, iterations, trace[i - 1]);
      }
    } finally {
      weights.values().forEach(weight -> weight.requires_grad_(false));
    }
    return trace;
  }

  private static Map<String, Tensor> gradients(Tensor loss, Map<String, Tensor> weights) {
    var values = Gradients.of(loss, List.copyOf(weights.values()), false);
    Map<String, Tensor> gradients = new LinkedHashMap<>();
    int next = 0;
    for (String name : weights.keySet()) {
      gradients.put(name, values.get(next++));
    }
    return gradients;
  }

  /** {@code x W + b}. */
  static Tensor affine(Tensor x, Map<String, Tensor> weights, String w, String b) {
    return torch.addmm(get(weights, b), x, get(weights, w));
  }

  static Tensor leaky(Tensor x) {
    return torch.leaky_relu(x, new Scalar(SLOPE));
  }

  /** Rows divided by {@code sqrt(max(||v||^2, 1e-12))}. */
  static Tensor unit(Tensor v) {
    return v.mul(v.square().sum(new long[] {1}, true, null).clamp_min(new Scalar(TINY)).rsqrt());
  }

  /** Half of {@code tau} times the squares of the matrices; biases are free. */
  static Tensor decay(Map<String, Tensor> weights, double tau) {
    Tensor sum = null;
    for (Tensor weight : weights.values()) {
      if (weight.dim() == 2) {
        Tensor square = weight.square().sum();
        sum = sum == null ? square : sum.add(square);
      }
    }
    return Objects.requireNonNull(sum).mul(new Scalar(tau / 2));
  }

  /** Truncated normal weights of deviation 0.01 that no scope owns. */
  static Tensor draw(Rng rng, long... shape) {
    return Scopes.scoped(() -> Scopes.own(Init.truncatedNormal(rng, DEVIATION, shape)));
  }

  static Tensor get(Map<String, Tensor> weights, String name) {
    return Objects.requireNonNull(weights.get(name), name);
  }
}
