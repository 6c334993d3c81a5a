package org.outrigger.serve.monitor;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** The last windows of a guard, as JSON types. */
final class Timeline {
  private static final int MOST = 500;

  private final Deque<Map<String, Object>> points = new ArrayDeque<>();
  private long windows;
  private @Nullable Map<String, Object> last;

  /** Takes a window. */
  void add(Monitor.Window window) {
    windows++;
    Map<String, Object> effects = new LinkedHashMap<>();
    List<String> drifting = new ArrayList<>();
    for (Monitor.Channel channel : window.channels()) {
      effects.put(channel.name(), channel.effect());
      if (channel.drifting()) {
        drifting.add(channel.name());
      }
    }
    Map<String, Object> point = rates(window);
    point.put("effects", effects);
    point.put("drifting", drifting);
    points.add(point);
    if (points.size() > MOST) {
      points.remove();
    }
    last = rates(window);
    last.put("channels", window.channels().stream().map(Timeline::channel).toList());
  }

  private static Map<String, Object> rates(Monitor.Window window) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("at", window.at().toString());
    json.put("rows", window.rows());
    if (!Double.isNaN(window.unknown())) {
      json.put("unknownRate", window.unknown());
      json.put("meanScore", window.score());
    }
    return json;
  }

  /** A channel of a window, as JSON types. */
  static Map<String, Object> channel(Monitor.Channel channel) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("channel", channel.name());
    json.put("method", channel.method());
    json.put("statistic", channel.statistic());
    if (!Double.isNaN(channel.pValue())) {
      json.put("pValue", channel.pValue());
    }
    json.put("threshold", channel.threshold());
    json.put("effect", channel.effect());
    json.put("drifting", channel.drifting());
    json.put(
        "features",
        channel.features().stream()
            .map(
                feature -> {
                  Map<String, Object> one = new LinkedHashMap<>();
                  one.put("name", feature.name());
                  one.put("before", feature.before());
                  one.put("after", feature.after());
                  one.put("effect", feature.effect());
                  return one;
                })
            .toList());
    return json;
  }

  /** How many windows there have been. */
  long windows() {
    return windows;
  }

  /** All of it. */
  Map<String, Object> state() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("windows", windows);
    json.put("timeline", List.copyOf(points));
    if (last != null) {
      json.put("last", last);
    }
    return json;
  }

  /**
   * Takes over a state.
   *
   * @throws OutriggerException if it is damaged; nothing has changed then
   */
  @SuppressWarnings("unchecked") // JSON objects have text for keys
  void restore(Map<String, Object> json) {
    List<Map<String, Object>> read = new ArrayList<>();
    if (!(json.get("windows") instanceof Number count)
        || count.longValue() < 0
        || !(json.get("timeline") instanceof List<?> list)
        || list.size() > MOST) {
      throw new OutriggerException("The saved time line is damaged.");
    }
    for (Object each : list) {
      if (!(each instanceof Map<?, ?> map) || !(map.get("at") instanceof String)) {
        throw new OutriggerException("The saved time line is damaged.");
      }
      read.add((Map<String, Object>) map);
    }
    points.clear();
    points.addAll(read);
    windows = count.longValue();
    last = json.get("last") instanceof Map<?, ?> map ? (Map<String, Object>) map : null;
  }
}
