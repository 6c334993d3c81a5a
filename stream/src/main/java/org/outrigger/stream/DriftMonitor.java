package org.outrigger.stream;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Methods;

/**
 * Watches what goes into and comes out of a model, batch by batch: a two-sample test compares the
 * features of each batch with a reference, and stream detectors follow any number of channels, such
 * as scores, errors or losses, value by value. One pass; saved between two batches and restored it
 * goes on to the last bit.
 *
 * <p>Not safe for concurrent use.
 */
public final class DriftMonitor implements Stateful, AutoCloseable {
  private static final String TYPE = "drift-monitor";

  /**
   * Something changed.
   *
   * @param batch the number of the batch, from 0
   * @param channel which one; {@code features} for the two-sample test
   * @param row position in the batch of the value that a detector fired at; -1 for the test
   * @param method the slug of the detector or test
   * @param effect the statistic of the test, or the mean of the channel in this batch
   * @param features positions of the features that changed, if a test names them
   */
  public record Event(
      long batch, String channel, int row, String method, double effect, List<Integer> features) {
    public Event {
      features = List.copyOf(features);
    }
  }

  /** Hears of changes. */
  @FunctionalInterface
  public interface Listener {
    void changed(Event event);
  }

  private final DriftTest test;
  private final Map<String, List<DriftDetector>> channels = new LinkedHashMap<>();
  private final List<Listener> listeners = new ArrayList<>();
  private long batches;

  /**
   * @param test of the features; it may have no reference yet
   */
  public DriftMonitor(DriftTest test) {
    this.test = test;
  }

  /** Adds a channel, watched by these detectors. */
  public DriftMonitor channel(String name, DriftDetector... detectors) {
    if (name.equals("features") || detectors.length == 0 || channels.containsKey(name)) {
      throw new OutriggerException(
          "The channel '" + name + "' cannot be added: give a new name and at least one detector.");
    }
    channels.put(name, List.of(detectors));
    return this;
  }

  /** Adds a listener. */
  public DriftMonitor listen(Listener listener) {
    listeners.add(listener);
    return this;
  }

  /** Takes the reference features, [n, d]. */
  public DriftMonitor fit(Tensor reference) {
    test.fit(reference);
    return this;
  }

  /** How many batches it has seen. */
  public long batches() {
    return batches;
  }

  /**
   * Takes a batch.
   *
   * @param features [m, d], m of 2 or more
   * @param values of every channel that has some in this batch, in the order they came
   * @return what changed, in the order of the channels; the features first
   * @throws OutriggerException if anything cannot be used; nothing has changed then
   */
  public List<Event> update(Tensor features, Map<String, double[]> values) {
    check(values);
    List<Event> events = new ArrayList<>();
    DriftTestResult result = test.test(features);
    if (result.drift()) {
      List<Integer> changed = new ArrayList<>();
      for (int f = 0; f < result.features().length; f++) {
        if (result.features()[f].drift()) {
          changed.add(f);
        }
      }
      events.add(new Event(batches, "features", -1, result.test(), result.statistic(), changed));
    }
    for (Map.Entry<String, List<DriftDetector>> channel : channels.entrySet()) {
      double[] all = values.getOrDefault(channel.getKey(), new double[0]);
      for (DriftDetector detector : channel.getValue()) {
        follow(channel.getKey(), detector, all, events);
      }
    }
    batches++;
    events.forEach(event -> listeners.forEach(listener -> listener.changed(event)));
    return List.copyOf(events);
  }

  private void follow(String name, DriftDetector detector, double[] all, List<Event> events) {
    double sum = 0;
    for (double value : all) {
      sum += value;
    }
    for (int i = 0; i < all.length; i++) {
      if (detector.update(all[i]) == DriftLevel.DRIFT) {
        events.add(
            new Event(batches, name, i, detector.card().slug(), sum / all.length, List.of()));
      }
    }
  }

  private void check(Map<String, double[]> values) {
    for (Map.Entry<String, double[]> entry : values.entrySet()) {
      List<DriftDetector> detectors = channels.get(entry.getKey());
      if (detectors == null) {
        throw new OutriggerException(
            "There is no channel '" + entry.getKey() + "': there are " + channels.keySet() + ".");
      }
      for (double value : entry.getValue()) {
        for (DriftDetector detector : detectors) {
          if (!detector.domain().accepts(value)) {
            throw new OutriggerException(
                "Channel '"
                    + entry.getKey()
                    + "' has the value "
                    + value
                    + ", but "
                    + detector.card().name()
                    + " needs values that are "
                    + detector.domain().words()
                    + ".");
          }
        }
      }
    }
  }

  @Override
  public State state() {
    State tested = test.state();
    Map<String, Object> detectors = new LinkedHashMap<>();
    channels.forEach(
        (name, all) -> {
          for (int i = 0; i < all.size(); i++) {
            State one = all.get(i).state();
            detectors.put(name + " " + i, Map.of("type", one.type(), "values", one.values()));
          }
        });
    return new State(
        TYPE,
        1,
        Map.of(
            "batches",
            batches,
            "test",
            Map.of("type", tested.type(), "values", tested.values()),
            "detectors",
            detectors),
        tested.tensors());
  }

  /** Takes over a state; this monitor must have the same test, channels and kinds of detectors. */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    double count = state.number("batches");
    State tested = part(state.map("test"), state.tensors());
    Map<DriftDetector, State> parts = new LinkedHashMap<>();
    Map<String, Object> saved = state.map("detectors");
    int found = 0;
    for (Map.Entry<String, List<DriftDetector>> channel : channels.entrySet()) {
      for (int i = 0; i < channel.getValue().size(); i++) {
        Object one = saved.get(channel.getKey() + " " + i);
        DriftDetector detector = channel.getValue().get(i);
        State its = part(one instanceof Map<?, ?> map ? map : Map.of(), Map.of());
        // Into another detector first: a damaged part must leave the whole as it is.
        Methods.create(DriftDetector.class, detector.card().slug(), Map.of()).restore(its);
        parts.put(detector, its);
        found++;
      }
    }
    if (found != saved.size() || !(count >= 0 && count == Math.rint(count))) {
      throw new OutriggerException(
          "The saved monitor watches other channels than this one: build it as it was saved.");
    }
    test.restore(tested);
    parts.forEach(DriftDetector::restore);
    batches = (long) count;
  }

  @SuppressWarnings("unchecked") // JSON objects have text for keys
  private static State part(Map<?, ?> saved, Map<String, Tensor> tensors) {
    if (saved.get("type") instanceof String type && saved.get("values") instanceof Map<?, ?> map) {
      return new State(type, 1, (Map<String, Object>) map, tensors);
    }
    throw new OutriggerException(
        "The saved monitor watches other channels than this one: build it as it was saved.");
  }

  @Override
  public void close() {
    test.close();
  }
}
