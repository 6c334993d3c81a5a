package org.outrigger.stream.memory;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** Rows of several columns in the order of their arrival; a new row takes the oldest's place. */
final class Ring implements AutoCloseable {
  private final int capacity;
  private final Map<String, Tensor> columns = new LinkedHashMap<>();
  private int size;
  private int next;

  Ring(int capacity) {
    this.capacity = capacity;
  }

  /** Adds a column of zeros [capacity, width...]. */
  Ring column(String name, ScalarType type, long... width) {
    long[] shape = new long[width.length + 1];
    shape[0] = capacity;
    System.arraycopy(width, 0, shape, 1, width.length);
    Scopes.run(() -> columns.put(name, Scopes.own(torch.zeros(shape, new TensorOptions(type)))));
    return this;
  }

  Tensor column(String name) {
    return Objects.requireNonNull(columns.get(name), name);
  }

  int size() {
    return size;
  }

  /** The places of the {@code count} oldest rows, int64 in the enclosing scope. */
  Tensor oldest(int count) {
    return places(next - size, count);
  }

  private Tensor places(int from, int count) {
    return torch
        .arange(new Scalar((long) count), new TensorOptions(ScalarType.Long))
        .add(new Scalar((long) Math.floorMod(from, capacity)))
        .remainder(new Scalar((long) capacity));
  }

  /** How many rows leave when that many come. */
  int leaving(int count) {
    return Math.max(0, size + count - capacity);
  }

  /** Puts rows of all columns in; at most the capacity at once. */
  void add(Map<String, Tensor> rows, int count) {
    Scopes.run(
        () -> {
          Tensor at = places(next, count);
          rows.forEach((name, values) -> column(name).index_copy_(0, at, values));
        });
    next = (next + count) % capacity;
    size = Math.min(capacity, size + count);
  }

  void clear() {
    columns.values().forEach(Tensor::zero_);
    size = 0;
    next = 0;
  }

  long bytes() {
    return columns.values().stream().mapToLong(Tensor::nbytes).sum();
  }

  Map<String, Tensor> tensors() {
    Map<String, Tensor> all = new LinkedHashMap<>(columns);
    return all;
  }

  /** Values beside the tensors, for {@link #restore}. */
  Map<String, Object> values() {
    return Map.of("size", size, "next", next);
  }

  /** Demands that a saved one fits, before anything changes. */
  void check(State state) {
    columns.forEach((name, own) -> sameShape(name, state.tensor(name), own));
    double wanted = state.number("size");
    double at = state.number("next");
    if (wanted != Math.rint(wanted)
        || at != Math.rint(at)
        || wanted < 0
        || wanted > capacity
        || at < 0
        || at >= capacity) {
      throw new OutriggerException(
          "The saved "
              + state.type()
              + " holds "
              + wanted
              + " of "
              + capacity
              + " rows: the file is damaged.");
    }
  }

  static void sameShape(String name, Tensor saved, Tensor own) {
    String[] sizes = new String[own.shape().length];
    for (int i = 0; i < sizes.length; i++) {
      sizes[i] = String.valueOf(own.shape()[i]);
    }
    Shapes.check().tensor("The saved " + name, saved, sizes);
    if (saved.scalar_type().intern() != own.scalar_type().intern()) {
      throw new OutriggerException(
          "The saved "
              + name
              + " has type "
              + saved.scalar_type().intern()
              + ", not "
              + own.scalar_type().intern()
              + ": the file is damaged.");
    }
  }

  void restore(State state) {
    columns.forEach((name, own) -> own.copy_(state.tensor(name)));
    size = (int) state.number("size");
    next = (int) state.number("next");
  }

  @Override
  public void close() {
    columns.values().forEach(Scopes::release);
    columns.clear();
  }
}
