package org.outrigger.detect;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** What {@link Mol} remembers: weights, statistics, the outer optimiser and counters. */
final class MolWeights implements AutoCloseable {
  private static final String INITIAL = "initial/";
  private static final String CURRENT = "current/";
  private static final String STATISTICS = "statistics/";
  private static final String OUTER = "outer/";

  long iteration;
  long adaptations;
  double threshold = Double.NaN;
  private Map<String, Tensor> initial = Map.of();
  private Map<String, Tensor> current = Map.of();
  private Map<String, Tensor> statistics = Map.of();
  private @Nullable Adam outer;

  boolean empty() {
    return initial.isEmpty();
  }

  /** Leaves that require gradients; the outer optimiser changes them in place. */
  Map<String, Tensor> initial() {
    return initial;
  }

  Map<String, Tensor> current() {
    return current;
  }

  Map<String, Tensor> statistics() {
    return statistics;
  }

  /** Starts from copies of these weights. */
  void take(Map<String, Tensor> weights, Map<String, Tensor> norms, double rate) {
    Map<String, Tensor> start = own(weights, true);
    fill(start, own(weights, false), own(norms, false), adam(start, rate));
  }

  private void fill(
      Map<String, Tensor> start, Map<String, Tensor> now, Map<String, Tensor> norms, Adam adam) {
    close();
    initial = start;
    current = now;
    statistics = norms;
    outer = adam;
  }

  private static Adam adam(Map<String, Tensor> weights, double rate) {
    return new Adam(weights, Adam.Settings.of(rate));
  }

  /** One outer step with the mean of the gradients; counts even if there is none. */
  void step(List<Map<String, Tensor>> gradients) {
    if (outer != null && !gradients.isEmpty()) {
      try (PointerScope scope = new PointerScope();
          AutoGradMode off = new AutoGradMode(false)) {
        Map<String, Tensor> mean = new LinkedHashMap<>();
        for (String name : initial.keySet()) {
          Tensor sum = null;
          for (Map<String, Tensor> each : gradients) {
            Tensor gradient = each.get(name);
            sum = sum == null || gradient == null ? gradient : sum.add(gradient);
          }
          if (sum != null) {
            mean.put(name, sum.div(new Scalar((double) gradients.size())));
          }
        }
        outer.step(mean);
      }
    }
    iteration++;
  }

  /** Takes over adapted weights. */
  void adopt(Map<String, Tensor> weights, Map<String, Tensor> norms, double newThreshold) {
    Map<String, Tensor> old = current;
    current = own(weights, false);
    release(old);
    statistics(norms);
    threshold = newThreshold;
    adaptations++;
  }

  void statistics(Map<String, Tensor> norms) {
    Map<String, Tensor> old = statistics;
    statistics = own(norms, false);
    release(old);
  }

  void reset() {
    Map<String, Tensor> old = current;
    current = own(initial, false);
    release(old);
    threshold = Double.NaN;
    adaptations = 0;
  }

  State state(String type, Map<String, Object> more) {
    if (outer == null) {
      throw new OutriggerException("MOL has no weights to save yet: attach a network first.");
    }
    State adam = outer.state();
    Map<String, Object> values = new LinkedHashMap<>(more);
    values.put("iteration", iteration);
    values.put("adaptations", adaptations);
    values.put("threshold", threshold);
    values.put("outer", adam.values());
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    initial.forEach((name, tensor) -> tensors.put(INITIAL + name, tensor));
    current.forEach((name, tensor) -> tensors.put(CURRENT + name, tensor));
    statistics.forEach((name, tensor) -> tensors.put(STATISTICS + name, tensor));
    adam.tensors().forEach((name, tensor) -> tensors.put(OUTER + name, tensor));
    return new State(type, 1, values, tensors);
  }

  /** Takes over a state; nothing has changed if it does not fit. */
  void restore(State state, double rate, @Nullable FunctionalNetwork network) {
    Map<String, Tensor> savedInitial = below(state, INITIAL);
    Map<String, Tensor> savedCurrent = below(state, CURRENT);
    Map<String, Tensor> norms = below(state, STATISTICS);
    long newIteration = count(state, "iteration");
    long newAdaptations = count(state, "adaptations");
    double newThreshold = state.number("threshold");
    if (savedInitial.isEmpty() || !savedInitial.keySet().equals(savedCurrent.keySet())) {
      throw damaged("its initial and its current weights have different names");
    }
    savedInitial.forEach(
        (name, tensor) -> {
          if (!Arrays.equals(tensor.shape(), state.tensor(CURRENT + name).shape())) {
            throw damaged("the initial and the current '" + name + "' differ in shape");
          }
        });
    state.tensors().forEach((name, tensor) -> Shapes.finite("The saved " + name, tensor));
    if (network != null) {
      network.require(savedInitial, norms);
    }
    Map<String, Tensor> start = own(savedInitial, true);
    Adam adam = adam(start, rate);
    try {
      adam.restore(new State("optimiser/adam", 1, state.map("outer"), below(state, OUTER)));
    } catch (RuntimeException e) {
      adam.close();
      release(start);
      throw e;
    }
    fill(start, own(savedCurrent, false), own(norms, false), adam);
    iteration = newIteration;
    adaptations = newAdaptations;
    threshold = newThreshold;
  }

  private static long count(State state, String name) {
    double value = state.number(name);
    if (!(value >= 0) || value != Math.rint(value)) {
      throw damaged(name + " is " + value);
    }
    return (long) value;
  }

  private static OutriggerException damaged(String why) {
    return new OutriggerException("The saved MOL is damaged: " + why + ".");
  }

  private static Map<String, Tensor> below(State state, String prefix) {
    Map<String, Tensor> found = new LinkedHashMap<>();
    state
        .tensors()
        .forEach(
            (name, tensor) -> {
              if (name.startsWith(prefix)) {
                found.put(name.substring(prefix.length()), tensor);
              }
            });
    return found;
  }

  private static Map<String, Tensor> own(Map<String, Tensor> tensors, boolean leaves) {
    Map<String, Tensor> owned = new LinkedHashMap<>();
    Scopes.run(
        () ->
            tensors.forEach(
                (name, tensor) ->
                    owned.put(name, Scopes.own(tensor.detach().clone().requires_grad_(leaves)))));
    return owned;
  }

  private static void release(Map<String, Tensor> tensors) {
    tensors.values().forEach(Scopes::release);
  }

  @Override
  public void close() {
    release(initial);
    release(current);
    release(statistics);
    initial = Map.of();
    current = Map.of();
    statistics = Map.of();
    if (outer != null) {
      outer.close();
      outer = null;
    }
    iteration = 0;
    adaptations = 0;
    threshold = Double.NaN;
  }
}
