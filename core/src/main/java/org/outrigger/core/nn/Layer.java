package org.outrigger.core.nn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * A node of a network: named parameters and buffers, named children, and a computation. The dotted
 * names of {@link #stateDict()} equal those of PyTorch.
 *
 * <p>A subclass registers its tensors with {@link #parameter} and {@link #buffer} and its children
 * with {@link #child}, and computes with what {@link ForwardContext#tensor}, {@link
 * ForwardContext#optional} and {@link #get} give at that moment, so that weights can be replaced
 * for one pass and layers for good. It keeps no tensor in a field; then {@link #deepCopy} works
 * without further code.
 *
 * <p>Memory: a layer owns its tensors until {@link #close}. {@link #compute} returns its input
 * itself or a new handle that its caller may close; containers close each value between two layers
 * as soon as the next is there. Autograd keeps what it needs by itself.
 *
 * <p>Forward passes are safe for concurrent use in evaluation mode; changing a layer is not.
 */
public abstract class Layer implements AutoCloseable, Cloneable {
  private Map<String, Slot> slots = new LinkedHashMap<>();
  private Map<String, Layer> children = new LinkedHashMap<>();
  private volatile List<OutputHook> hooks = List.of();
  private boolean training = true;
  private boolean closed;

  protected Layer() {
    Torch.start();
  }

  // -- for subclasses

  /** Registers a trainable parameter, which this layer then owns through a handle of its own. */
  protected final void parameter(String name, Tensor initial) {
    if (initial.is_floating_point()) {
      initial.requires_grad_(true);
    }
    slots.put(name, Slot.owning(initial, true));
  }

  /** Registers a tensor that is saved with the layer but not trained. */
  protected final void buffer(String name, Tensor initial) {
    slots.put(name, Slot.owning(initial, false));
  }

  /** Registers a child, which this layer then owns. */
  protected final <L extends Layer> L child(String name, L layer) {
    if (name.isEmpty() || name.indexOf('.') >= 0) {
      throw new IllegalArgumentException("A child's name is one part of a path, not: " + name);
    }
    children.put(name, layer);
    return layer;
  }

  /**
   * The computation of this layer.
   *
   * @param x the input; borrowed
   * @return {@code x} itself or a new handle
   */
  protected abstract Tensor compute(Tensor x, ForwardContext context);

  /** What {@link #deepCopy} calls on the copy, for state that is neither tensor nor child. */
  protected void copied() {}

  // -- running

  /** Runs the layer, each part in its own mode. The result belongs to the enclosing scope. */
  public final Tensor forward(Tensor x) {
    return forward(x, ForwardContext.AS_IS);
  }

  /** Runs the layer in that context. The result belongs to the enclosing scope. */
  public final Tensor forward(Tensor x, ForwardContext context) {
    Tensor y;
    try {
      y = compute(x, context);
    } catch (OutriggerException e) {
      throw e;
    } catch (RuntimeException e) {
      throw Torch.failure(
          "The layer " + this + " cannot take an input of shape " + shape(x) + ".", e);
    }
    return finish(x, y, context);
  }

  /**
   * Runs the layer with some of its parameters or buffers replaced for this call; it is not changed
   * itself, and running statistics stay as they are.
   *
   * @param weights replacements by state-dict name, of the same shapes; gradients flow to them
   */
  public final Tensor forward(Tensor x, Map<String, Tensor> weights) {
    return Scopes.tensor(() -> forward(x, ForwardContext.AS_IS.weights(this, weights)));
  }

  /** Calls the hooks and keeps what the context watches; for layers with several inputs. */
  final Tensor finish(Tensor x, Tensor y, ForwardContext context) {
    Tensor output = y;
    for (OutputHook hook : hooks) {
      Tensor shown = new Tensor(output);
      Tensor instead = hook.apply(this, shown);
      if (instead != null && instead != shown) {
        release(output, x, instead);
        output = instead;
      }
    }
    context.ran(this, x, output);
    return output;
  }

  /** Closes a value between two layers unless it is the input of the first or what comes next. */
  protected static void release(Tensor value, Tensor input, Tensor next) {
    if (value != input && value != next) {
      value.close();
    }
  }

  private static String shape(Tensor x) {
    return x.isNull() ? "(released)" : Arrays.toString(x.shape());
  }

  /** Calls {@code hook} with every output of this layer until the handle is closed. */
  public final OutputHook.Handle onOutput(OutputHook hook) {
    synchronized (this) {
      List<OutputHook> more = new ArrayList<>(hooks);
      more.add(hook);
      hooks = List.copyOf(more);
    }
    return () -> {
      synchronized (this) {
        List<OutputHook> fewer = new ArrayList<>(hooks);
        fewer.removeIf(h -> h == hook);
        hooks = List.copyOf(fewer);
      }
    };
  }

  /** As {@link #onOutput(OutputHook)}, for the layer at that path. */
  public final OutputHook.Handle onOutput(String path, OutputHook hook) {
    return get(path).onOutput(hook);
  }

  // -- mode

  /** Switches this layer and all below it to training mode. */
  public final void train() {
    train(true);
  }

  /** Switches this layer and all below it to evaluation mode. */
  public final void eval() {
    train(false);
  }

  /** Switches the mode of this layer and all below it. */
  public final void train(boolean on) {
    training = on;
    children.values().forEach(c -> c.train(on));
  }

  /** Whether this layer is in training mode. */
  public final boolean training() {
    return training;
  }

  // -- the tree

  /** The direct children by name, in order. */
  public final Map<String, Layer> children() {
    return Collections.unmodifiableMap(children);
  }

  /** All layers below this one by path, each before what is below it. */
  public final Map<String, Layer> layers() {
    Map<String, Layer> all = new LinkedHashMap<>();
    walk("", (path, layer) -> all.put(path, layer));
    all.remove("");
    return all;
  }

  private void walk(String path, BiConsumer<String, Layer> visitor) {
    visitor.accept(path, this);
    children.forEach((name, layer) -> layer.walk(join(path, name), visitor));
  }

  private static String join(String path, String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  /**
   * The layer at that path, such as {@code layer1.0.conv1}; the empty path is this layer.
   *
   * @throws OutriggerException if there is none, with the names that are there
   */
  public final Layer get(String path) {
    if (path.indexOf('.') < 0) {
      Layer direct = children.get(path);
      if (direct != null) {
        return direct;
      }
    }
    Layer at = this;
    StringBuilder walked = new StringBuilder();
    for (String name : path.isEmpty() ? new String[0] : path.split("\\.", -1)) {
      Layer next = at.children.get(name);
      if (next == null) {
        throw new OutriggerException(
            "There is no layer '"
                + path
                + "': "
                + (walked.length() == 0 ? "the network" : "'" + walked + "'")
                + (at.children.isEmpty()
                    ? " has no inner layers."
                    : " has " + String.join(", ", at.children.keySet()) + "."));
      }
      walked.append(walked.length() == 0 ? "" : ".").append(name);
      at = next;
    }
    return at;
  }

  /**
   * Puts another layer at that path. The new one takes over the mode of the old one.
   *
   * @return the old one, which the caller now owns (so it can be put back, wrapped, or closed)
   */
  public final Layer replace(String path, Layer layer) {
    if (path.isEmpty()) {
      throw new OutriggerException("A network cannot replace itself: name one of its layers.");
    }
    int dot = path.lastIndexOf('.');
    Layer parent = dot < 0 ? this : get(path.substring(0, dot));
    Layer old = get(path);
    layer.train(old.training);
    parent.children.put(path.substring(dot + 1), layer);
    return old;
  }

  // -- tensors

  final @Nullable Slot slot(String name) {
    return slots.get(name);
  }

  final Map<String, Slot> slots() {
    Map<String, Slot> all = new LinkedHashMap<>();
    walk("", (path, layer) -> layer.slots.forEach((name, s) -> all.put(join(path, name), s)));
    return all;
  }

  private Map<String, Tensor> tensors(boolean parameters, boolean buffers) {
    Map<String, Tensor> all = new LinkedHashMap<>();
    slots()
        .forEach(
            (name, slot) -> {
              if (slot.isParameter() ? parameters : buffers) {
                all.put(name, slot.tensor());
              }
            });
    return all;
  }

  /** Whether this layer itself has a tensor of that name. */
  public final boolean has(String name) {
    return slots.containsKey(name);
  }

  /** This layer's own tensor of that name; borrowed. */
  public final Tensor tensor(String name) {
    return ForwardContext.AS_IS.tensor(this, name);
  }

  /** All parameters by dotted name; borrowed. */
  public final Map<String, Tensor> parameters() {
    return tensors(true, false);
  }

  /** The parameters that are not frozen, by dotted name; borrowed. */
  public final Map<String, Tensor> trainable() {
    Map<String, Tensor> all = parameters();
    all.values().removeIf(t -> !t.requires_grad());
    return all;
  }

  /** All buffers, such as running statistics, by dotted name; borrowed. */
  public final Map<String, Tensor> buffers() {
    return tensors(false, true);
  }

  /** Parameters and buffers by dotted name, in PyTorch's order; borrowed. */
  public final Map<String, Tensor> stateDict() {
    return tensors(true, true);
  }

  /** The number of values in all parameters. */
  public final long parameterCount() {
    return parameters().values().stream().mapToLong(Tensor::numel).sum();
  }

  /**
   * Copies values into the parameters and buffers of the same names. Values are converted to the
   * type and device that this layer has. Nothing changes unless all of it fits.
   *
   * @param strict whether a missing or unexpected name is an error ({@code num_batches_tracked},
   *     which older files lack, never is); a wrong shape always is
   * @throws OutriggerException that lists what is missing, unexpected, or of another shape
   */
  public final void loadStateDict(Map<String, Tensor> state, boolean strict) {
    StateDicts.load(slots(), state, strict);
  }

  /**
   * Stops training of the parameters whose dotted names match.
   *
   * @param pattern a name, a path ({@code layer1} means all below it), a glob ({@code *} for any
   *     characters, {@code ?} for one), or {@code regex:} with a regular expression
   * @return how many parameters matched
   * @throws OutriggerException if none matches
   */
  public final int freeze(String pattern) {
    return requireGrad(pattern, false);
  }

  /** The opposite of {@link #freeze}. */
  public final int unfreeze(String pattern) {
    return requireGrad(pattern, true);
  }

  private int requireGrad(String pattern, boolean on) {
    Map<String, Tensor> matching = NamePattern.of(pattern).select(parameters());
    matching.values().forEach(t -> t.requires_grad_(on));
    return matching.size();
  }

  /** Moves all tensors to a device. */
  public final void to(Device device) {
    convert(t -> t.to(device, t.scalar_type()));
  }

  /** Converts all floating-point tensors to a type. */
  public final void to(ScalarType type) {
    convert(t -> t.is_floating_point() ? t.to(type) : t);
  }

  private void convert(UnaryOperator<Tensor> conversion) {
    Scopes.run(
        () ->
            slots()
                .values()
                // Setting the data keeps the tensor's identity, which optimisers hold on to.
                .forEach(s -> s.tensor().set_data(conversion.apply(s.tensor().detach()))));
  }

  /** A copy that shares nothing with this layer. Hooks are not copied. */
  public final Layer deepCopy() {
    try {
      Layer copy = (Layer) clone();
      copy.hooks = List.of();
      copy.slots = new LinkedHashMap<>();
      slots.forEach((name, slot) -> copy.slots.put(name, slot.copy()));
      copy.children = new LinkedHashMap<>();
      children.forEach((name, layer) -> copy.children.put(name, layer.deepCopy()));
      copy.copied();
      return copy;
    } catch (CloneNotSupportedException e) {
      throw new AssertionError(e);
    }
  }

  /** The whole tree, one line a layer, with parameter counts. */
  public final String describe() {
    StringBuilder text = new StringBuilder();
    describe("", "", text);
    return text.toString();
  }

  private void describe(String indent, String name, StringBuilder text) {
    text.append(indent).append(name).append(name.isEmpty() ? "" : ": ").append(this);
    long count = parameterCount();
    if (count > 0) {
      text.append(String.format(Locale.ROOT, "  [%,d]", count));
    }
    text.append('\n');
    children.forEach((n, layer) -> layer.describe(indent + "  ", n, text));
  }

  /** The kind of layer and its settings, on one line. */
  @Override
  public String toString() {
    return getClass().getSimpleName();
  }

  /** Releases the tensors of this layer and of all below it. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    slots.values().forEach(Slot::release);
    children.values().forEach(Layer::close);
  }
}
