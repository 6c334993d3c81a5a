package org.outrigger.serve.monitor;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;

/** The metrics of drift monitors. A later version of a guard goes on with those of an earlier. */
final class WindowMetrics {
  private final MeterRegistry registry;
  private final Map<String, AtomicReference<Double>> gauges = new ConcurrentHashMap<>();

  WindowMetrics(MeterRegistry registry) {
    this.registry = registry;
  }

  private static Tags tags(String guard, boolean shadow) {
    return Tags.of("guard", guard, "shadow", Boolean.toString(shadow));
  }

  /** A window is complete. */
  void window(String guard, boolean shadow, Monitor.Window window) {
    Tags tags = tags(guard, shadow);
    if (!Double.isNaN(window.unknown())) {
      gauge("outrigger.window.unknown", "Unknown rows of the last window", tags, window.unknown());
      gauge("outrigger.window.score", "Mean score of the last window", tags, window.score());
    }
    for (Monitor.Channel each : window.channels()) {
      Tags channel = tags.and("channel", each.name());
      gauge("outrigger.drift.statistic", "Statistic of the last window", channel, each.statistic());
      gauge("outrigger.drift.effect", "Size of the last window's change", channel, each.effect());
      gauge(
          "outrigger.drift.active",
          "1 if the last window drifts, else 0",
          channel,
          each.drifting() ? 1 : 0);
    }
  }

  private void gauge(String name, String description, Tags tags, double value) {
    gauges
        .computeIfAbsent(
            name + tags,
            key -> {
              AtomicReference<Double> held = new AtomicReference<>(value);
              Gauge.builder(name, held::get).description(description).tags(tags).register(registry);
              return held;
            })
        .set(value);
  }

  /** Drift was told. */
  void drift(String guard, boolean shadow, String channel) {
    Counter.builder("outrigger.drift")
        .description("Alerts of drift")
        .tags(tags(guard, shadow).and("channel", channel))
        .register(registry)
        .increment();
  }

  /** Rows were not watched. */
  void skipped(String guard, boolean shadow, int rows) {
    Counter.builder("outrigger.monitor.skipped")
        .description("Rows that the monitor did not see, since too many waited")
        .tags(tags(guard, shadow))
        .register(registry)
        .increment(rows);
  }

  /** The monitor failed on a batch. */
  void failed(String guard, boolean shadow) {
    Counter.builder("outrigger.monitor.failures")
        .description("Batches that the monitor failed on")
        .tags(tags(guard, shadow))
        .register(registry)
        .increment();
  }
}
