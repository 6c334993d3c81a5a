package org.outrigger.stream.memory;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Holds served events until their label is sure. A positive label (a click, a purchase) may come
 * late; an event without one is negative only when the window has passed. Written earlier, the
 * memory would learn that everything is negative.
 *
 * <p>It holds at most {@code capacity} events; beyond that the oldest are given up and counted.
 * Safe for concurrent use.
 */
public final class AttributionWindow implements Stateful {
  private static final String TYPE = "memory/attribution-window";

  private final double window;
  private final int capacity;
  private Map<String, Event> waiting = new LinkedHashMap<>();
  private long givenUp;

  private record Event(double[] key, double base, double due, double label) {}

  /**
   * Events whose label is sure; the tensors belong to the enclosing scope or the caller.
   *
   * @param keys float64 [N, D]
   * @param labels float64 [N]
   * @param base float64 [N]
   */
  public record Matured(List<String> ids, Tensor keys, Tensor labels, Tensor base) {}

  /**
   * @param window how long a positive label may take, 0 or more, in the caller's unit of time
   * @param capacity events that may wait, 1 or more
   */
  public AttributionWindow(double window, int capacity) {
    HyperParameter.notNegative("window", window);
    HyperParameter.atLeast("capacity", capacity, 1);
    this.window = window;
    this.capacity = capacity;
  }

  /**
   * Events were served.
   *
   * @param ids one an event; an id that waits already is an error
   * @param keys [N, D]
   * @param base [N], what was predicted
   * @param time when, not before earlier events
   */
  public synchronized void served(List<String> ids, Tensor keys, Tensor base, double time) {
    Shapes.check()
        .size("N", ids.size(), "the ids")
        .tensor("keys", keys, "N", "D")
        .tensor("base", base, "N");
    Shapes.finite("keys", keys);
    Shapes.finite("base", base);
    HyperParameter.require(Double.isFinite(time), "time", time, "finite");
    for (String id : ids) {
      if (waiting.containsKey(id)) {
        throw new OutriggerException(
            "Event '"
                + id
                + "' waits for its label already: give each served event an id of its"
                + " own.");
      }
    }
    double[][] rows = Tensors.rows(keys);
    double[] predicted = Tensors.doubles(base);
    for (int i = 0; i < rows.length; i++) {
      waiting.put(ids.get(i), new Event(rows[i], predicted[i], time + window, 0));
    }
    Iterator<Event> oldest = waiting.values().iterator();
    while (waiting.size() > capacity) {
      oldest.next();
      oldest.remove();
      givenUp++;
    }
  }

  /**
   * A label came.
   *
   * @param label in [0, 1]
   * @return whether the event was waiting
   */
  public synchronized boolean labelled(String id, double label) {
    HyperParameter.between("label", label, 0, 1);
    return waiting.computeIfPresent(id, (key, e) -> new Event(e.key, e.base, e.due, label)) != null;
  }

  /** The events whose window has passed at that time, oldest first; they no longer wait. */
  public synchronized Optional<Matured> matured(double time) {
    List<String> ids = new ArrayList<>();
    List<Event> events = new ArrayList<>();
    Iterator<Map.Entry<String, Event>> oldest = waiting.entrySet().iterator();
    while (oldest.hasNext()) {
      Map.Entry<String, Event> next = oldest.next();
      if (next.getValue().due > time) {
        break;
      }
      ids.add(next.getKey());
      events.add(next.getValue());
      oldest.remove();
    }
    return ids.isEmpty()
        ? Optional.empty()
        : Optional.of(
            new Matured(
                ids,
                Tensors.of(events.stream().map(Event::key).toArray(double[][]::new)),
                Tensors.of(events.stream().mapToDouble(Event::label).toArray(), ids.size()),
                Tensors.of(events.stream().mapToDouble(Event::base).toArray(), ids.size())));
  }

  /** How many events wait. */
  public synchronized int size() {
    return waiting.size();
  }

  /** How many events were given up because too many waited. */
  public synchronized long givenUp() {
    return givenUp;
  }

  @Override
  public synchronized State state() {
    List<Event> events = List.copyOf(waiting.values());
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    int width = events.isEmpty() ? 0 : events.get(0).key.length;
    tensors.put(
        "keys",
        Tensors.of(
            events.stream().flatMapToDouble(e -> java.util.Arrays.stream(e.key)).toArray(),
            events.size(),
            width));
    tensors.put(
        "events",
        Tensors.of(
            events.stream()
                .flatMapToDouble(e -> java.util.stream.DoubleStream.of(e.base, e.due, e.label))
                .toArray(),
            events.size(),
            3));
    return new State(
        TYPE,
        1,
        Map.of("ids", List.copyOf(waiting.keySet()), "givenUp", givenUp, "window", window),
        tensors);
  }

  @Override
  public synchronized void restore(State state) {
    state.expect(TYPE, 1);
    if (!(state.values().get("ids") instanceof List<?> ids)) {
      throw new OutriggerException("The saved events have no ids: the file is damaged.");
    }
    Shapes.check()
        .size("N", ids.size(), "the ids")
        .tensor("The saved keys", state.tensor("keys"), "N", "D")
        .tensor("The saved events", state.tensor("events"), "N", "3");
    if (state.number("window") != window || ids.size() > capacity) {
      throw new OutriggerException(
          "The saved window of "
              + state.number("window")
              + " with "
              + ids.size()
              + " events does not fit one of "
              + window
              + " for "
              + capacity
              + " events.");
    }
    double lost = state.number("givenUp");
    double[][] keys = ids.isEmpty() ? new double[0][] : Tensors.rows(state.tensor("keys"));
    double[][] rest = ids.isEmpty() ? new double[0][] : Tensors.rows(state.tensor("events"));
    Map<String, Event> fresh = new LinkedHashMap<>();
    for (int i = 0; i < ids.size(); i++) {
      fresh.put(String.valueOf(ids.get(i)), new Event(keys[i], rest[i][0], rest[i][1], rest[i][2]));
    }
    waiting = fresh;
    givenUp = (long) lost;
  }
}
