package org.outrigger.core.optim;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.Capabilities.Differentiable;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * An exponential moving average of a model's weights and buffers: {@code a = decay a + (1 - decay)
 * w} after each step. Buffers that are not floating point, such as counters, are copied. {@link
 * #swapIn()} puts the averages into the model for evaluation, {@link #swapOut()} takes them out.
 */
public final class Ema implements Stateful, AutoCloseable {
  private double decay;
  private boolean warmUp;
  private long updates;
  private boolean swapped;
  private final Map<String, Tensor> live = new LinkedHashMap<>();
  private final Map<String, Tensor> averages = new LinkedHashMap<>();

  /**
   * Starts from the weights as they are.
   *
   * @param weights parameters and buffers by name; the tensors are shared, not copied
   * @param decay in [0, 1)
   * @param warmUp whether update number t = 1, 2, ... uses min(decay, t / (t + 9)), so that early
   *     weights are soon forgotten
   */
  public Ema(Map<String, Tensor> weights, double decay, boolean warmUp) {
    HyperParameter.require(decay >= 0 && decay < 1, "decay", decay, "0 or more and below 1");
    Torch.start();
    this.decay = decay;
    this.warmUp = warmUp;
    weights.forEach(
        (name, tensor) -> {
          live.put(name, Scopes.own(tensor));
          averages.put(name, Scopes.scoped(() -> Scopes.own(tensor.detach().clone())));
        });
  }

  /** The average of a model's parameters and buffers. */
  public static Ema of(Differentiable model, double decay) {
    Map<String, Tensor> weights = new LinkedHashMap<>(model.parameters());
    weights.putAll(model.buffers());
    return new Ema(weights, decay, false);
  }

  /** Takes in the weights after a step. */
  public void update() {
    if (swapped) {
      throw new OutriggerException(
          "The averages are in the model: call swapOut() before training goes on.");
    }
    updates++;
    double keep = warmUp ? Math.min(decay, updates / (updates + 9.0)) : decay;
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      Scalar share = new Scalar(1 - keep);
      averages.forEach(
          (name, average) -> {
            Tensor weight = weight(name);
            if (average.is_floating_point()) {
              average.lerp_(weight, share);
            } else {
              average.copy_(weight);
            }
          });
    }
  }

  /** Exchanges the model's weights for the averages. */
  public void swapIn() {
    swap(true);
  }

  /** Gives the model its own weights back. */
  public void swapOut() {
    swap(false);
  }

  /** Whether the averages are in the model now. */
  public boolean swappedIn() {
    return swapped;
  }

  private void swap(boolean in) {
    if (swapped == in) {
      throw new OutriggerException(
          in ? "The averages are in the model already." : "The averages are not in the model.");
    }
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      averages.forEach(
          (name, average) -> {
            Tensor weight = weight(name);
            try (Tensor old = weight.detach().clone()) {
              weight.copy_(average);
              average.copy_(old);
            }
          });
    }
    swapped = in;
  }

  /** The averages by name, while they are not swapped in; borrowed. */
  public Map<String, Tensor> averages() {
    if (swapped) {
      throw new OutriggerException("The averages are in the model: call swapOut() first.");
    }
    return Collections.unmodifiableMap(averages);
  }

  @Override
  public State state() {
    return new State(
        "ema", 1, Map.of("decay", decay, "warmUp", warmUp, "updates", updates), averages());
  }

  @Override
  public void restore(State state) {
    state.expect("ema", 1);
    Map<String, Tensor> own = averages();
    for (Map.Entry<String, Tensor> e : own.entrySet()) {
      Tensor saved = state.tensor(e.getKey());
      if (!Arrays.equals(saved.shape(), e.getValue().shape())) {
        throw new OutriggerException(
            "The saved average of '"
                + e.getKey()
                + "' has shape "
                + Arrays.toString(saved.shape())
                + ", but the model's has "
                + Arrays.toString(e.getValue().shape())
                + ".");
      }
    }
    double newDecay = state.number("decay");
    long newUpdates = (long) state.number("updates");
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      own.forEach((name, average) -> average.copy_(state.tensor(name)));
    }
    decay = newDecay;
    warmUp = Boolean.TRUE.equals(state.values().get("warmUp"));
    updates = newUpdates;
  }

  @Override
  public void close() {
    live.values().forEach(Scopes::release);
    averages.values().forEach(Scopes::release);
    live.clear();
    averages.clear();
  }

  private Tensor weight(String name) {
    return java.util.Objects.requireNonNull(live.get(name));
  }
}
