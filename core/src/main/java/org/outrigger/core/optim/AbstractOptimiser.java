package org.outrigger.core.optim;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/** What all optimisers share: the book of parameters, their state, masks, saving. */
abstract class AbstractOptimiser implements Optimiser {
  /** One parameter with what is remembered of it. */
  static final class Slot {
    final String name;
    final Tensor parameter;
    final ParameterGroup group;
    final Map<String, Tensor> memory = new TreeMap<>();
    long steps;
    @Nullable Tensor mask;

    Slot(String name, Tensor parameter, ParameterGroup group) {
      this.name = name;
      this.parameter = Scopes.own(parameter);
      this.group = group;
    }

    @Nullable Tensor get(String key) {
      return memory.get(key);
    }

    /** Remembers a tensor that was made in the scope of this step. */
    Tensor remember(String key, Tensor tensor) {
      Tensor own = Scopes.own(tensor);
      memory.put(key, own);
      return own;
    }

    void forget() {
      memory.values().forEach(Scopes::release);
      memory.clear();
      steps = 0;
    }

    void close() {
      forget();
      Scopes.release(mask);
      Scopes.release(parameter);
    }
  }

  private final String type;
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private double pace = 1;

  AbstractOptimiser(String type, List<ParameterGroup> groups) {
    Torch.start();
    this.type = type;
    for (ParameterGroup group : groups) {
      enter(group);
    }
    if (slots.isEmpty()) {
      throw new OutriggerException("There is nothing to train: the optimiser got no parameters.");
    }
  }

  /** Applies the rule to one parameter, without recording gradients, in the scope of the step. */
  abstract void update(Slot slot, Tensor gradient, double rate, double decay);

  abstract double weightDecay();

  /** Hyper-parameters for the saved state. */
  abstract Map<String, Object> settingValues();

  /** Reads hyper-parameters from a saved state; nothing may have changed if it throws. */
  abstract Runnable readSettings(State state);

  /** The names of the tensors that the rule remembers. */
  abstract Set<String> memoryKeys();

  @Override
  public void step() {
    step(
        slot -> {
          Tensor gradient = slot.parameter.grad();
          return gradient.defined() ? gradient : null;
        });
  }

  @Override
  public void step(Map<String, Tensor> gradients) {
    for (Map.Entry<String, Tensor> e : gradients.entrySet()) {
      sameShape("The gradient", e.getKey(), e.getValue(), slot(e.getKey()).parameter);
    }
    step(slot -> gradients.get(slot.name));
  }

  private void step(Function<Slot, @Nullable Tensor> gradients) {
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      for (Slot slot : slots.values()) {
        Tensor gradient = gradients.apply(slot);
        if (gradient == null) {
          continue;
        }
        if (slot.mask != null) {
          gradient = gradient.mul(slot.mask);
        }
        slot.steps++;
        update(
            slot,
            gradient,
            pace * slot.group.learningRate().orElse(learningRate()),
            slot.group.weightDecay().orElse(weightDecay()));
      }
    }
  }

  @Override
  public void clearGradients() {
    slots.values().forEach(slot -> slot.parameter.mutable_grad().reset());
  }

  @Override
  public double pace() {
    return pace;
  }

  @Override
  public void pace(double factor) {
    HyperParameter.notNegative("pace", factor);
    pace = factor;
  }

  @Override
  public Map<String, Tensor> parameters() {
    Map<String, Tensor> parameters = new LinkedHashMap<>();
    slots.forEach((name, slot) -> parameters.put(name, slot.parameter));
    return Collections.unmodifiableMap(parameters);
  }

  @Override
  public final void add(ParameterGroup group) {
    enter(group);
  }

  private void enter(ParameterGroup group) {
    Set<String> doubled = new HashSet<>(group.parameters().keySet());
    doubled.retainAll(slots.keySet());
    if (!doubled.isEmpty()) {
      throw new OutriggerException(
          "The parameter '"
              + doubled.iterator().next()
              + "' is in the optimiser already: give each parameter to one group only.");
    }
    group
        .parameters()
        .forEach(
            (name, parameter) -> {
              if (slots.values().stream().noneMatch(s -> s.parameter.is_same(parameter))) {
                slots.put(name, new Slot(name, parameter, group));
              }
            });
  }

  @Override
  public void remove(String name) {
    slot(name).close();
    slots.remove(name);
  }

  @Override
  public void reset(String name) {
    slot(name).forget();
  }

  @Override
  public void reset() {
    slots.values().forEach(Slot::forget);
  }

  @Override
  public void mask(String name, @Nullable Tensor mask) {
    Slot slot = slot(name);
    if (mask != null) {
      sameShape("The mask", name, mask, slot.parameter);
    }
    Tensor old = slot.mask;
    slot.mask =
        mask == null
            ? null
            : Scopes.scoped(() -> Scopes.own(mask.detach().to(slot.parameter.scalar_type())));
    Scopes.release(old);
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>(settingValues());
    values.put("pace", pace);
    Map<String, Object> steps = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    slots.forEach(
        (name, slot) -> {
          steps.put(name, slot.steps);
          slot.memory.forEach((key, tensor) -> tensors.put(name + "/" + key, tensor));
          if (slot.mask != null) {
            tensors.put(name + "/mask", slot.mask);
          }
        });
    values.put("steps", steps);
    return new State("optimiser/" + type, 1, values, tensors);
  }

  @Override
  public void restore(State state) {
    state.expect("optimiser/" + type, 1);
    Runnable settings = readSettings(state);
    double newPace = state.number("pace");
    Map<String, Object> steps = state.map("steps");
    if (!steps.keySet().equals(slots.keySet())) {
      Set<String> odd = new HashSet<>(steps.keySet());
      odd.addAll(slots.keySet());
      odd.removeIf(name -> steps.containsKey(name) && slots.containsKey(name));
      throw new OutriggerException(
          "The saved optimiser trained other parameters: '"
              + odd.iterator().next()
              + "' is on one side only. Restore it into an optimiser of the same model.");
    }
    List<String> keys = new ArrayList<>(memoryKeys());
    keys.add("mask");
    for (Slot slot : slots.values()) {
      if (!(steps.get(slot.name) instanceof Number)) {
        throw new OutriggerException(
            "The saved optimiser has no step count for '" + slot.name + "': the file is damaged.");
      }
      for (String key : keys) {
        Tensor saved = state.tensors().get(slot.name + "/" + key);
        if (saved != null) {
          sameShape("The saved " + key, slot.name, saved, slot.parameter);
        }
      }
    }
    settings.run();
    pace = newPace;
    for (Slot slot : slots.values()) {
      // Copies come first: the state may be this optimiser's own.
      Map<String, Tensor> memory = new TreeMap<>();
      for (String key : keys) {
        Tensor saved = state.tensors().get(slot.name + "/" + key);
        if (saved != null) {
          memory.put(key, Scopes.scoped(() -> Scopes.own(saved.detach().clone())));
        }
      }
      slot.forget();
      Scopes.release(slot.mask);
      slot.mask = memory.remove("mask");
      slot.memory.putAll(memory);
      slot.steps = ((Number) java.util.Objects.requireNonNull(steps.get(slot.name))).longValue();
    }
  }

  @Override
  public void close() {
    slots.values().forEach(Slot::close);
    slots.clear();
  }

  static Scalar scalar(double value) {
    return new Scalar(value);
  }

  private Slot slot(String name) {
    Slot slot = slots.get(name);
    if (slot == null) {
      throw new OutriggerException(
          "The optimiser has no parameter '" + name + "'. It has: " + known() + ".");
    }
    return slot;
  }

  private String known() {
    List<String> names = new ArrayList<>(slots.keySet());
    return names.size() <= 8
        ? String.join(", ", names)
        : String.join(", ", names.subList(0, 8)) + " and " + (names.size() - 8) + " more";
  }

  private static void sameShape(String what, String name, Tensor tensor, Tensor parameter) {
    if (!Arrays.equals(tensor.shape(), parameter.shape())) {
      throw new OutriggerException(
          what
              + " of '"
              + name
              + "' has shape "
              + Arrays.toString(tensor.shape())
              + ", but the parameter has "
              + Arrays.toString(parameter.shape())
              + ".");
    }
  }
}
