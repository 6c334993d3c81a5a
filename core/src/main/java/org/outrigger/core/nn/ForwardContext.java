package org.outrigger.core.nn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/**
 * How one forward pass runs: in training or evaluation mode, with which weights replaced, and which
 * inner values are kept. Nothing of it is stored in the layers, so passes with different contexts
 * may run concurrently over the same layers. Contexts with replaced weights or watched layers are
 * for one pass and are made inside the scope that the pass runs in.
 */
public final class ForwardContext {
  /** Each layer in its own mode, with its own weights. */
  public static final ForwardContext AS_IS =
      new ForwardContext(null, false, Map.of(), Map.of(), Map.of());

  /** All layers in evaluation mode, with their own weights. */
  public static final ForwardContext EVALUATION =
      new ForwardContext(false, false, Map.of(), Map.of(), Map.of());

  /**
   * All layers in evaluation mode, but batch normalisation uses the statistics of the batch at hand
   * and leaves its running ones alone.
   */
  public static final ForwardContext BATCH_STATISTICS =
      new ForwardContext(false, true, Map.of(), Map.of(), Map.of());

  private final @Nullable Boolean training;
  private final boolean batchStatistics;
  private final Map<Slot, Slot> substitutes;
  private final Map<Layer, String> outputs;
  private final Map<Layer, String> inputs;
  private final Map<String, Tensor> seen;

  private ForwardContext(
      @Nullable Boolean training,
      boolean batchStatistics,
      Map<Slot, Slot> substitutes,
      Map<Layer, String> outputs,
      Map<Layer, String> inputs) {
    this(training, batchStatistics, substitutes, outputs, inputs, new LinkedHashMap<>());
  }

  private ForwardContext(
      @Nullable Boolean training,
      boolean batchStatistics,
      Map<Slot, Slot> substitutes,
      Map<Layer, String> outputs,
      Map<Layer, String> inputs,
      Map<String, Tensor> seen) {
    this.training = training;
    this.batchStatistics = batchStatistics;
    this.substitutes = substitutes;
    this.outputs = outputs;
    this.inputs = inputs;
    this.seen = seen;
  }

  /**
   * The same pass with all layers in that mode, whatever mode each is in: what it keeps, this one
   * can {@link #take}, so that a layer may run a part of the network in another mode.
   */
  public ForwardContext training(boolean on) {
    return new ForwardContext(on, batchStatistics, substitutes, outputs, inputs, seen);
  }

  /**
   * The same with some parameters or buffers of {@code root} replaced. Running statistics are not
   * updated by such a pass.
   *
   * @param weights replacements by state-dict name, of the same shapes; borrowed
   * @throws OutriggerException if a name is unknown or a shape differs
   */
  public ForwardContext weights(Layer root, Map<String, Tensor> weights) {
    Map<String, Slot> slots = root.slots();
    Map<Slot, Slot> all = new IdentityHashMap<>(substitutes);
    List<String> problems = new ArrayList<>();
    weights.forEach(
        (name, tensor) -> {
          Slot slot = slots.get(name);
          if (slot == null) {
            problems.add("there is no '" + name + "'");
          } else if (!Arrays.equals(slot.tensor().shape(), tensor.shape())) {
            problems.add(
                "'"
                    + name
                    + "' has shape "
                    + Arrays.toString(tensor.shape())
                    + " instead of "
                    + Arrays.toString(slot.tensor().shape()));
          } else {
            all.put(slot, Slot.borrowing(tensor));
          }
        });
    if (!problems.isEmpty()) {
      throw new OutriggerException(
          "The replacement weights do not fit the model: " + String.join("; ", problems) + ".");
    }
    return new ForwardContext(training, batchStatistics, all, outputs, inputs);
  }

  /** The same, which also keeps the output of {@code layer} for {@link #take}. */
  public ForwardContext watchOutput(String name, Layer layer) {
    return new ForwardContext(
        training, batchStatistics, substitutes, with(outputs, layer, name), inputs);
  }

  /** The same, which also keeps the input of {@code layer} for {@link #take}. */
  public ForwardContext watchInput(String name, Layer layer) {
    return new ForwardContext(
        training, batchStatistics, substitutes, outputs, with(inputs, layer, name));
  }

  private static Map<Layer, String> with(Map<Layer, String> map, Layer layer, String name) {
    Map<Layer, String> all = new IdentityHashMap<>(map);
    all.put(layer, name);
    return all;
  }

  /**
   * Gives what was kept under that name, as a handle that belongs to the current scope, or null if
   * the layer did not run. If it ran several times, the last value counts.
   */
  public @Nullable Tensor take(String name) {
    Tensor own = seen.remove(name);
    if (own == null) {
      return null;
    }
    Tensor handle = new Tensor(own);
    Scopes.release(own);
    return handle;
  }

  /** Releases what was kept and not taken. */
  public void discard() {
    seen.values().forEach(Scopes::release);
    seen.clear();
  }

  /** Whether {@code layer} runs in training mode in this pass. */
  public boolean training(Layer layer) {
    return training == null ? layer.training() : training;
  }

  /** Whether batch normalisation uses the batch's statistics and leaves its own alone. */
  public boolean batchStatistics() {
    return batchStatistics;
  }

  /** Whether weights are replaced in this pass: then no layer may update its own state. */
  public boolean functional() {
    return !substitutes.isEmpty();
  }

  /** The tensor of that name of {@code layer} in this pass; borrowed. */
  public Tensor tensor(Layer layer, String name) {
    Slot slot = layer.slot(name);
    if (slot == null) {
      throw new IllegalArgumentException(layer + " has no tensor " + name);
    }
    return substitute(slot).tensor();
  }

  /** The tensor of that name as libtorch's functions take it; the empty one if it has none. */
  public TensorOptional optional(Layer layer, String name) {
    Slot slot = layer.slot(name);
    return slot == null ? none() : substitute(slot).optional();
  }

  /** The empty optional. */
  public static TensorOptional none() {
    return Empty.NONE;
  }

  private Slot substitute(Slot slot) {
    if (substitutes.isEmpty()) {
      return slot;
    }
    Slot other = substitutes.get(slot);
    return other == null ? slot : other;
  }

  void ran(Layer layer, Tensor input, Tensor output) {
    if (inputs.isEmpty() && outputs.isEmpty()) {
      return;
    }
    keep(inputs.get(layer), input);
    keep(outputs.get(layer), output);
  }

  private void keep(@Nullable String name, Tensor tensor) {
    if (name != null) {
      Scopes.release(seen.put(name, Scopes.own(tensor)));
    }
  }

  /** Made when first needed, so that naming this class loads no native library. */
  private static final class Empty {
    static final TensorOptional NONE = new TensorOptional().retainReference();
  }

  @Override
  public String toString() {
    return "ForwardContext(training="
        + training
        + ", replaced="
        + substitutes.size()
        + ", watched="
        + Collections.unmodifiableCollection(outputs.values())
        + ")";
  }
}
