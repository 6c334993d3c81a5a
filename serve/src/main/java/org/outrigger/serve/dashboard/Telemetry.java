package org.outrigger.serve.dashboard;

import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.outrigger.serve.AnsweredRequest;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.ServerEvent;

/**
 * What a server did lately, in memory of a fixed size: counts for each guard and each shadow, and
 * the last events. Guards are those that the operator opened; nothing that a client says makes a
 * new one. Safe for concurrent use.
 */
final class Telemetry {
  private static final int EVENTS = 200;

  private final boolean keepInputs;
  private final Instant since;
  private final Map<String, GuardTelemetry> guards = new ConcurrentHashMap<>();
  private final Map<String, GuardTelemetry> shadows = new ConcurrentHashMap<>();
  private final Deque<ServerEvent> events = new ArrayDeque<>();

  /**
   * @param keepInputs whether the unknown inputs of the last hour with the largest scores are kept
   */
  Telemetry(boolean keepInputs, Instant since) {
    this.keepInputs = keepInputs;
    this.since = since;
  }

  /** When counting began. */
  Instant since() {
    return since;
  }

  /** Whether inputs are kept. */
  boolean keepsInputs() {
    return keepInputs;
  }

  void opened(String guard, String version, boolean shadow, Shapes shapes) {
    (shadow ? shadows : guards)
        .computeIfAbsent(guard, name -> new GuardTelemetry(keepInputs))
        .opened(version, shapes);
  }

  /**
   * Counts what was judged.
   *
   * @param waiting rows that wait for that guard
   */
  void judged(JudgedBatch batch, int waiting) {
    GuardTelemetry counts = (batch.shadow() ? shadows : guards).get(batch.guard());
    if (counts != null) {
      counts.judged(batch, waiting);
    }
  }

  void answered(AnsweredRequest request) {
    GuardTelemetry counts = guards.get(request.guard());
    if (counts != null) {
      counts.answered(request.at().toEpochMilli(), request.status(), request.nanos());
    }
  }

  void happened(ServerEvent event) {
    synchronized (events) {
      events.addLast(event);
      if (events.size() > EVENTS) {
        events.removeFirst();
      }
    }
    if (event.kind() == ServerEvent.Kind.UNLOADED) {
      guards.remove(event.guard());
      shadows.remove(event.guard());
    }
  }

  /** The last events, the newest first. */
  List<ServerEvent> events() {
    List<ServerEvent> newest;
    synchronized (events) {
      newest = new ArrayList<>(events);
    }
    java.util.Collections.reverse(newest);
    return newest;
  }

  /** What is counted of a guard; null if it was never opened. */
  @Nullable GuardTelemetry guard(String name) {
    return guards.get(name);
  }

  /** What is counted of the shadow of a guard; null if there was none. */
  @Nullable GuardTelemetry shadow(String name) {
    return shadows.get(name);
  }
}
