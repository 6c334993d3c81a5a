package org.outrigger.guard;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Capabilities.Differentiable;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * One stream of a guard, with an adapter of its own. Labels and probabilities come from that
 * adapter; scores and whether a row is unknown come from the model itself, as the detectors were
 * fitted.
 *
 * <p>Rows come in pieces of any size, and are answered at once. The adapter learns from each full
 * batch of consecutive rows, however they came. A row that completes or fills a batch is answered
 * in the very step that learns from it; rows behind the last full batch are answered by the adapter
 * as it is then, on the newest full batch of rows, and nothing is learned from that. Until the
 * first batch is full the model itself answers. So what the adapter learns depends on the rows and
 * their order alone.
 *
 * <p>An adapter that fails starts over, and the model itself answers in its stead. A stream belongs
 * to one thread at a time; close it before its guard.
 */
public final class GuardStream implements Stateful, AutoCloseable {
  private static final String TYPE = "guard-stream";
  private static final int LAYOUT = 1;
  private static final String ADAPTER = "adapter/";
  private static final String WINDOW = "window";

  private final Guard guard;
  private final SafetyNet net;
  private final String stack;
  private final String id;
  private final int batch;
  private @Nullable Tensor window;
  private int pending;
  private long rows;
  private long failures;
  private boolean broken;
  private Consumer<Throwable> onFailure = failure -> {};

  GuardStream(Guard guard, SafetyNet net, String stack, String id, int batch) {
    this.guard = guard;
    this.net = net;
    this.stack = stack;
    this.id = id;
    this.batch = batch;
  }

  /** Is told when the adapter fails. */
  public GuardStream onFailure(Consumer<Throwable> told) {
    onFailure = told;
    return this;
  }

  /** Is told of each roll-back of the adapter. */
  public GuardStream onRollback(Consumer<SafetyNet.Event> told) {
    net.onRollback(told);
    return this;
  }

  /**
   * Judges the next rows of the stream and learns from them.
   *
   * @param inputs [N, ...] as the model takes them, finite
   * @param watch whether the answer also holds what a {@link GuardMonitor} watches
   * @return verdicts, and the logits that labels and probabilities come from
   * @throws OutriggerException as {@link Guard#check}; nothing has changed then
   */
  public Guard.Answer answer(Tensor inputs, boolean watch) {
    if (inputs.is_floating_point()) {
      Shapes.finite("The batch", inputs);
    }
    return guard.answer(inputs, watch, this::follow);
  }

  private Tensor follow(Tensor inputs, Output output) {
    Tensor logits = output.logits();
    if (broken || !logits.isfinite().all().item_bool()) {
      return logits;
    }
    try {
      Tensor followed = learn(inputs, logits);
      rows += inputs.size(0);
      return followed;
    } catch (RuntimeException | OutOfMemoryError e) {
      failed(e);
      return logits;
    }
  }

  private Tensor learn(Tensor inputs, Tensor logits) {
    long n = inputs.size(0);
    List<Tensor> pieces = new ArrayList<>();
    for (long at = 0; at < n; ) {
      long taken = Math.min(n - at, batch - pending);
      Tensor newest = slide(inputs.narrow(0, at, taken));
      pending += Math.toIntExact(taken);
      if (pending == batch) {
        pending = 0;
        pieces.add(last(net.adapt(newest), taken));
      } else if (newest.size(0) == batch) {
        pieces.add(last(net.predict(newest), taken));
      } else {
        pieces.add(logits.narrow(0, at, taken));
      }
      at += taken;
    }
    return pieces.size() == 1
        ? pieces.get(0)
        : torch.cat(new TensorVector(pieces.toArray(Tensor[]::new)), 0);
  }

  private static Tensor last(Output output, long taken) {
    Tensor logits = output.logits();
    return logits.narrow(0, logits.size(0) - taken, taken);
  }

  /** Adds rows to the window, which keeps the newest up to a batch; borrowed. */
  private Tensor slide(Tensor added) {
    Tensor old = window;
    if (old != null && !Arrays.equals(row(old), row(added))) {
      forget();
      old = null;
    }
    Tensor before = old;
    Tensor moved =
        Scopes.scoped(
            () -> {
              Tensor both = before == null ? added : torch.cat(new TensorVector(before, added), 0);
              long most = Math.min(both.size(0), batch);
              return Scopes.own(both.narrow(0, both.size(0) - most, most).detach().clone());
            });
    Scopes.release(old);
    window = moved;
    return moved;
  }

  private static long[] row(Tensor rows) {
    long[] shape = rows.shape();
    return Arrays.copyOfRange(shape, 1, shape.length);
  }

  private void forget() {
    Scopes.release(window);
    window = null;
    pending = 0;
  }

  private void failed(Throwable failure) {
    failures++;
    forget();
    try {
      // Half a step may have been made.
      net.reset();
    } catch (RuntimeException e) {
      broken = true;
      failure.addSuppressed(e);
    }
    onFailure.accept(failure);
  }

  /** Starts over from the source, in every part. */
  public void reset() {
    net.reset();
    forget();
    rows = 0;
    failures = 0;
    broken = false;
  }

  /** Its state now; tensors are borrowed. The newest rows, up to a batch, are part of it. */
  @Override
  public State state() {
    State inner = net.state();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    inner.tensors().forEach((name, tensor) -> tensors.put(ADAPTER + name, tensor));
    if (window != null) {
      tensors.put(WINDOW, window);
    }
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("stack", stack);
    values.put("id", id);
    values.put("batch", batch);
    values.put("pending", pending);
    values.put("rows", rows);
    values.put("failures", failures);
    values.put(
        "adapter",
        Map.of("type", inner.type(), "version", inner.version(), "values", inner.values()));
    return new State(TYPE, LAYOUT, values, tensors);
  }

  /**
   * Goes on where a stream of the same model, stack and start was. If it learned from batches of
   * another size, its newest rows are dropped.
   */
  @Override
  @SuppressWarnings("unchecked")
  public void restore(State state) {
    state.expect(TYPE, LAYOUT);
    if (!state.text("id").equals(id)) {
      throw new OutriggerException(
          "This is the state of a stream of "
              + state.text("stack")
              + " on another model or from another start than this guard's "
              + stack
              + ": start the stream anew.");
    }
    Map<String, Object> adapter = state.map("adapter");
    Tensor saved = state.tensors().get(WINDOW);
    double left = state.number("pending");
    double size = state.number("batch");
    long had = saved == null ? 0 : saved.dim() == 0 ? -1 : saved.size(0);
    if (!(adapter.get("type") instanceof String type)
        || !(adapter.get("version") instanceof Number version)
        || !(adapter.get("values") instanceof Map<?, ?> values)
        || had < left
        || had > size
        || left < 0
        || left >= size) {
      throw new OutriggerException("The saved stream is damaged: start the stream anew.");
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    state
        .tensors()
        .forEach(
            (name, tensor) -> {
              if (name.startsWith(ADAPTER)) {
                tensors.put(name.substring(ADAPTER.length()), tensor);
              }
            });
    double seen = state.number("rows");
    double failed = state.number("failures");
    net.restore(new State(type, version.intValue(), (Map<String, Object>) values, tensors));
    forget();
    if (saved != null && size == batch) {
      window = Scopes.scoped(() -> Scopes.own(saved.detach().clone()));
      pending = (int) left;
    }
    rows = (long) seen;
    failures = (long) failed;
    broken = false;
  }

  /** The stack, as {@code Adapters.parse} reads it. */
  public String stack() {
    return stack;
  }

  /** Rows that the stream had since it began. */
  public long rows() {
    return rows;
  }

  /** Batches that the adapter learned from since it began. */
  public long batches() {
    return net.usage().batches();
  }

  /** Rows that wait until a batch is full. */
  public int pending() {
    return pending;
  }

  /** How often the adapter failed and started over. */
  public long failures() {
    return failures;
  }

  /** How often the adapter was rolled back. */
  public long rollbacks() {
    return net.rollbacks();
  }

  /** Whether the model itself answers for a while, after a roll-back. */
  public boolean resting() {
    return net.resting();
  }

  /** How the adapter is doing. */
  public SafetyNet.Health health() {
    return net.health();
  }

  /** About how much memory it takes: its state, what it starts over from, and its copied model. */
  public long bytes() {
    try (PointerScope scope = new PointerScope()) {
      long bytes = 2 * bytes(net.state().tensors()) + (window == null ? 0 : window.nbytes());
      Model copy = net.model();
      if (copy != guard.model()) {
        bytes += copy.as(Differentiable.class).map(d -> bytes(d.parameters())).orElse(0L);
      }
      return bytes;
    }
  }

  private static long bytes(Map<String, Tensor> tensors) {
    return tensors.values().stream().mapToLong(Tensor::nbytes).sum();
  }

  @Override
  public void close() {
    forget();
    broken = true;
    net.close();
  }
}
