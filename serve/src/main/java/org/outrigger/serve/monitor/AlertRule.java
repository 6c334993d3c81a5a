package org.outrigger.serve.monitor;

import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * Decides what of the drift is told, so that alerts stay rare enough to be read: a channel is told
 * once, again only after a while if it still drifts, and when it has been quiet for some windows.
 */
final class AlertRule {
  /** What to tell of a channel. */
  enum Tell {
    DRIFTS,
    STILL_DRIFTS,
    RECOVERED
  }

  /** A channel and what to tell of it. */
  record Decision(Monitor.Channel channel, Tell tell, Instant since) {}

  private record Active(Instant since, Instant told, int quiet) {}

  private final Duration repeat;
  private final int quiet;
  private final Map<String, Active> active = new LinkedHashMap<>();

  AlertRule(Duration repeat, int quiet) {
    this.repeat = repeat;
    this.quiet = quiet;
  }

  /** Takes a window and says what to tell. */
  List<Decision> take(Monitor.Window window) {
    List<Decision> decisions = new ArrayList<>();
    for (Monitor.Channel channel : window.channels()) {
      Active before = active.get(channel.name());
      Tell tell = channel.drifting() ? drifts(channel, before, window) : rests(channel, before);
      if (tell != null) {
        Instant since = before == null ? window.at() : before.since;
        decisions.add(new Decision(channel, tell, since));
      }
    }
    return decisions;
  }

  private @Nullable Tell drifts(
      Monitor.Channel channel, @Nullable Active before, Monitor.Window window) {
    Instant at = window.at();
    if (before == null) {
      active.put(channel.name(), new Active(at, at, 0));
      return Tell.DRIFTS;
    }
    boolean again = !at.isBefore(before.told.plus(repeat));
    active.put(channel.name(), new Active(before.since, again ? at : before.told, 0));
    return again ? Tell.STILL_DRIFTS : null;
  }

  private @Nullable Tell rests(Monitor.Channel channel, @Nullable Active before) {
    if (before == null) {
      return null;
    }
    if (before.quiet + 1 < quiet) {
      active.put(channel.name(), new Active(before.since, before.told, before.quiet + 1));
      return null;
    }
    active.remove(channel.name());
    return Tell.RECOVERED;
  }

  /** The channels that drift, as JSON types. */
  Map<String, Object> state() {
    Map<String, Object> json = new LinkedHashMap<>();
    active.forEach(
        (name, each) ->
            json.put(
                name,
                Map.of(
                    "since", each.since.toString(),
                    "told", each.told.toString(),
                    "quiet", each.quiet)));
    return json;
  }

  /**
   * Takes over a state.
   *
   * @throws OutriggerException if it is damaged; nothing has changed then
   */
  void restore(Map<String, Object> json) {
    Map<String, Active> read = new LinkedHashMap<>();
    json.forEach((name, each) -> read.put(name, active(each)));
    active.clear();
    active.putAll(read);
  }

  private static Active active(Object json) {
    if (json instanceof Map<?, ?> map
        && map.get("since") instanceof String since
        && map.get("told") instanceof String told
        && map.get("quiet") instanceof Integer quiet
        && quiet >= 0) {
      try {
        return new Active(Instant.parse(since), Instant.parse(told), quiet);
      } catch (DateTimeParseException e) {
        throw new OutriggerException("A saved alert has an impossible time: it is damaged.", e);
      }
    }
    throw new OutriggerException("A saved alert is damaged.");
  }
}
