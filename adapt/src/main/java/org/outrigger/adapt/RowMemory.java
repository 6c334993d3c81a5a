package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * A bounded memory of a stream's rows by the class that they were predicted to have. A method
 * decides which row gives way to which.
 */
abstract class RowMemory implements Stateful, AutoCloseable {
  private static final String INPUTS = "inputs";

  /** A stored row: where it is kept, how uncertain its prediction was, and how long it is there. */
  static final class Row {
    private final int slot;
    final double uncertainty;
    long age;

    private Row(int slot, double uncertainty, long age) {
      this.slot = slot;
      this.uncertainty = uncertainty;
      this.age = age;
    }
  }

  private final String type;
  private final int capacity;
  private final List<List<Row>> classes;
  private final BitSet taken = new BitSet();
  private @Nullable Tensor inputs;

  RowMemory(String type, int capacity, int classes) {
    HyperParameter.atLeast("capacity", capacity, 1);
    HyperParameter.atLeast("classes", classes, 1);
    this.type = type;
    this.capacity = capacity;
    this.classes =
        IntStream.range(0, classes).mapToObj(c -> (List<Row>) new ArrayList<Row>()).toList();
  }

  /** How many rows it holds at most. */
  public final int capacity() {
    return capacity;
  }

  /** How many rows it holds. */
  public final int size() {
    return taken.cardinality();
  }

  /** How many rows of each class it holds. */
  public final int[] occupancy() {
    return classes.stream().mapToInt(List::size).toArray();
  }

  /** The rows of a class, in the order they came. */
  final List<Row> rows(int label) {
    return classes.get(label);
  }

  /** The classes of which it holds most, in order. */
  final int[] largest() {
    int[] counts = occupancy();
    int most = Arrays.stream(counts).max().orElse(0);
    return IntStream.range(0, counts.length).filter(c -> counts[c] == most).toArray();
  }

  /** Stores a copy of a row; there must be room. */
  final void add(int label, double uncertainty, Tensor row) {
    Tensor all = inputs;
    if (all == null) {
      all =
          Scopes.scoped(
              () -> {
                long[] shape = row.shape();
                long[] whole = new long[shape.length + 1];
                whole[0] = capacity;
                System.arraycopy(shape, 0, whole, 1, shape.length);
                return Scopes.own(row.detach().unsqueeze(0).expand(whole).clone());
              });
      inputs = all;
    }
    int slot = taken.nextClearBit(0);
    Tensor place = all;
    Scopes.run(() -> Scopes.grad(false, () -> place.select(0, slot).copy_(row)));
    taken.set(slot);
    classes.get(label).add(new Row(slot, uncertainty, 0));
  }

  /** Drops a row. */
  final void remove(int label, int index) {
    taken.clear(classes.get(label).remove(index).slot);
  }

  /**
   * Demands that a batch can be stored beside what is there.
   *
   * @throws OutriggerException if its rows have another shape
   */
  final void check(Tensor batch) {
    Tensor all = inputs;
    if (all != null && !Arrays.equals(tail(all), tail(batch))) {
      throw new OutriggerException(
          "The rows of this batch have shape "
              + Arrays.toString(tail(batch))
              + ", but those in the memory have "
              + Arrays.toString(tail(all))
              + ": keep to one shape, or reset the adapter.");
    }
  }

  private static long[] tail(Tensor batch) {
    long[] shape = batch.shape();
    return Arrays.copyOfRange(shape, 1, shape.length);
  }

  /** Copies of the stored rows by class and then by arrival, [n, ...]; there must be some. */
  public final Tensor inputs() {
    Tensor all = inputs;
    if (all == null || size() == 0) {
      throw new IllegalStateException("the memory is empty");
    }
    return Scopes.tensor(
        () -> {
          long[] slots =
              classes.stream().flatMap(List::stream).mapToLong(row -> row.slot).toArray();
          return all.index_select(0, Tensors.of(slots, slots.length));
        });
  }

  /** The ages in the order of {@link #inputs}. */
  public final double[] ages() {
    return classes.stream().flatMap(List::stream).mapToDouble(row -> row.age).toArray();
  }

  /** What a method keeps beside the rows, as JSON-able values. */
  Map<String, Object> extra() {
    return Map.of();
  }

  /** Takes over what {@link #extra} gave. */
  void extra(State state) {}

  @Override
  public final State state() {
    Map<String, Object> values = new LinkedHashMap<>(extra());
    List<List<Map<String, Object>>> rows =
        classes.stream()
            .map(
                list ->
                    list.stream()
                        .map(
                            row ->
                                Map.<String, Object>of(
                                    "slot",
                                    row.slot,
                                    "uncertainty",
                                    row.uncertainty,
                                    "age",
                                    row.age))
                        .toList())
            .toList();
    values.put("rows", rows);
    Tensor all = inputs;
    return new State(type, 1, values, all == null ? Map.of() : Map.of(INPUTS, all));
  }

  @Override
  public final void restore(State state) {
    state.expect(type, 1);
    if (!(state.values().get("rows") instanceof List<?> saved) || saved.size() != classes.size()) {
      throw damaged();
    }
    List<List<Row>> restored = saved.stream().map(this::read).toList();
    long count = restored.stream().mapToLong(List::size).sum();
    Tensor values = state.tensors().get(INPUTS);
    if (count > 0 && (values == null || values.size(0) != capacity)) {
      throw damaged();
    }
    extra(state);
    Tensor own = values == null ? null : Scopes.scoped(() -> Scopes.own(values.detach().clone()));
    close();
    inputs = own;
    for (int c = 0; c < restored.size(); c++) {
      restored.get(c).forEach(row -> taken.set(row.slot));
      classes.get(c).addAll(restored.get(c));
    }
  }

  private List<Row> read(Object list) {
    List<Row> rows = new ArrayList<>();
    for (Object item : list instanceof List<?> items ? items : List.of("")) {
      if (!(item instanceof Map<?, ?> map
          && map.get("slot") instanceof Number slot
          && map.get("uncertainty") instanceof Number uncertainty
          && map.get("age") instanceof Number age
          && slot.intValue() >= 0
          && slot.intValue() < capacity)) {
        throw damaged();
      }
      rows.add(new Row(slot.intValue(), uncertainty.doubleValue(), age.longValue()));
    }
    return rows;
  }

  private OutriggerException damaged() {
    return new OutriggerException(
        "The saved " + type + " does not hold rows as it should: the file is damaged.");
  }

  /** Forgets all rows. */
  @Override
  public final void close() {
    Scopes.release(inputs);
    inputs = null;
    taken.clear();
    classes.forEach(List::clear);
  }
}
