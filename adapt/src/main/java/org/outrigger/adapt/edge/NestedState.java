package org.outrigger.adapt.edge;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Snapshot;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;

/** A state that is made of the states of parts, each under its name. */
final class NestedState {
  private final Map<String, Object> values = new LinkedHashMap<>();
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();

  NestedState value(String name, Object value) {
    values.put(name, value);
    return this;
  }

  NestedState tensor(String name, Tensor tensor) {
    tensors.put(name, tensor);
    return this;
  }

  NestedState part(String name, Stateful part) {
    State state = part.state();
    values.put(name, state.values());
    state.tensors().forEach((key, tensor) -> tensors.put(name + "/" + key, tensor));
    return this;
  }

  State of(String type) {
    return new State(type, 1, values, tensors);
  }

  /** Restores the part of that name. */
  static void restore(State state, String name, Stateful part) {
    part.restore(new State(part.state().type(), 1, state.map(name), below(state, name)));
  }

  /** The tensors of the part of that name. */
  static Map<String, Tensor> below(State state, String name) {
    Map<String, Tensor> below = new LinkedHashMap<>();
    state
        .tensors()
        .forEach(
            (key, tensor) -> {
              if (key.startsWith(name + "/")) {
                below.put(key.substring(name.length() + 1), tensor);
              }
            });
    return below;
  }

  /** The named value as a whole number of 0 or more. */
  static long count(State state, String name) {
    double value = state.number(name);
    if (!(value >= 0) || value != Math.rint(value)) {
      throw new OutriggerException(
          "The saved " + state.type() + " is damaged: " + name + " is " + value + ".");
    }
    return (long) value;
  }

  /**
   * Applies a state and, if a part of it does not fit, what was there before.
   *
   * @param now the state of the object, copied here
   * @param wanted the state to take over
   * @param apply takes a state over, part by part
   */
  static void allOrNothing(State now, State wanted, Consumer<State> apply) {
    try (Snapshot before = Snapshot.of(now)) {
      try {
        apply.accept(wanted);
      } catch (RuntimeException e) {
        apply.accept(before.state());
        throw e;
      }
    }
  }
}
