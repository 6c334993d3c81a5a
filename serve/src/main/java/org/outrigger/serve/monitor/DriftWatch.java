package org.outrigger.serve.monitor;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.outrigger.serve.Guards;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.ServedGuard;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Watches the traffic of every served guard, shadows too, and tells when inputs, scores,
 * predictions or errors are no longer as they were when the guard was fitted.
 */
public final class DriftWatch implements ServerPart {
  private static final Logger LOG = LoggerFactory.getLogger(DriftWatch.class);

  private final WatchSettings settings;
  private final Function<ServedGuard, @Nullable Monitor> monitors;
  private final Map<String, WatchedGuard> watched = new ConcurrentHashMap<>();
  private final Map<String, String> off = new ConcurrentHashMap<>();
  private @Nullable ServerContext server;
  private @Nullable WindowMetrics metrics;

  /**
   * @param monitors makes the monitor of a guard; null for a guard that has no reference
   */
  public DriftWatch(WatchSettings settings, Function<ServedGuard, @Nullable Monitor> monitors) {
    this.settings = settings;
    this.monitors = monitors;
  }

  @Override
  public String name() {
    return "monitor";
  }

  @Override
  public void start(ServerContext context) {
    server = context;
    metrics = new WindowMetrics(context.registry());
  }

  private static String key(String guard, String version) {
    return guard + "/" + version;
  }

  @Override
  public void opened(ServedGuard guard) {
    Monitor monitor = monitors.apply(guard);
    if (monitor == null) {
      String why =
          "The guard was saved without a reference, so nothing can be compared: fit it again.";
      off.put(key(guard.name(), guard.version()), why);
      LOG.warn("{} version {} is not monitored. {}", guard.name(), guard.version(), why);
      return;
    }
    if (settings.folder() != null) {
      for (WatchedGuard before : watched.values()) {
        if (before.guard().equals(guard.name()) && before.shadow() == guard.shadow()) {
          before.keep();
        }
      }
    }
    watched.put(
        key(guard.name(), guard.version()),
        new WatchedGuard(
            guard.name(),
            guard.version(),
            guard.shadow(),
            monitor,
            settings,
            Objects.requireNonNull(metrics),
            Objects.requireNonNull(server).publish()));
  }

  @Override
  public void judged(JudgedBatch batch) {
    WatchedGuard guard = watched.get(key(batch.guard(), batch.version()));
    if (guard != null) {
      guard.judged(batch);
    }
  }

  @Override
  public void labelled(String name, List<LabelledRow> rows) {
    Map<String, List<LabelledRow>> versions = new LinkedHashMap<>();
    for (LabelledRow row : rows) {
      // Rows of no known class say nothing about the model's errors on those that it knows.
      if (row.label() >= 0) {
        versions.computeIfAbsent(row.version(), version -> new ArrayList<>()).add(row);
      }
    }
    versions.forEach(
        (version, some) -> {
          WatchedGuard guard = watched.get(key(name, version));
          if (guard != null) {
            boolean[] wrong = new boolean[some.size()];
            for (int i = 0; i < wrong.length; i++) {
              wrong[i] = !some.get(i).correct();
            }
            guard.labelled(wrong);
          }
        });
  }

  @Override
  public void happened(ServerEvent event) {
    switch (event.kind()) {
      case LOADED, SHADOWED, ROLLED_BACK, UNLOADED -> settle(event.guard());
      default -> {
        // Nothing about which guards there are.
      }
    }
  }

  /** Watches the versions that are served, and no others. */
  private void settle(String name) {
    List<ServedGuard> served = served(name);
    List<String> keys = served.stream().map(each -> key(name, each.version())).toList();
    off.keySet().removeIf(key -> key.startsWith(name + "/") && !keys.contains(key));
    for (WatchedGuard each : List.copyOf(watched.values())) {
      String key = key(each.guard(), each.version());
      if (each.guard().equals(name) && !keys.contains(key)) {
        watched.remove(key);
        // The file is the successor's where there is one.
        boolean alone =
            watched.values().stream()
                .noneMatch(o -> o.guard().equals(name) && o.shadow() == each.shadow());
        each.close(alone);
      }
    }
    for (ServedGuard each : served) {
      String key = key(name, each.version());
      if (!watched.containsKey(key) && !off.containsKey(key)) {
        opened(each);
      }
    }
  }

  private List<ServedGuard> served(String name) {
    Guards guards = Objects.requireNonNull(server).guards();
    List<ServedGuard> served = new ArrayList<>();
    try {
      served.add(guards.get(name, null));
      ServedGuard shadow = guards.shadow(name);
      if (shadow != null) {
        served.add(shadow);
      }
    } catch (Refusal none) {
      // It was taken out.
      return List.of();
    }
    return served;
  }

  @Override
  public @Nullable String problem() {
    for (WatchedGuard each : watched.values()) {
      String problem = each.problem();
      if (problem != null) {
        return problem;
      }
    }
    return null;
  }

  @Override
  public Map<String, Object> status(String guard) {
    Map<String, Object> json = new LinkedHashMap<>();
    for (ServedGuard each : served(guard)) {
      Map<String, Object> one = status(guard, each.version());
      if (each.shadow()) {
        json.put("shadow", one);
      } else {
        json.putAll(one);
      }
    }
    return json;
  }

  private Map<String, Object> status(String guard, String version) {
    WatchedGuard each = watched.get(key(guard, version));
    if (each != null) {
      return each.status();
    }
    String why = off.get(key(guard, version));
    return why == null ? Map.of("monitoring", false) : Map.of("monitoring", false, "why", why);
  }

  @Override
  public void close() {
    // Side by side, so that a stop takes no longer for many guards than for one.
    watched.values().parallelStream().forEach(each -> each.close(true));
    watched.clear();
  }
}
