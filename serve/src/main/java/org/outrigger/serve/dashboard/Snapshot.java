package org.outrigger.serve.dashboard;

import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Bundle;
import org.outrigger.serve.ServedGuard;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;

/** All that the page shows, as JSON types. */
final class Snapshot {
  /** What the page may do. */
  enum Role {
    READ,
    ADMIN
  }

  private final ServerContext server;
  private final Telemetry telemetry;

  Snapshot(ServerContext server, Telemetry telemetry) {
    this.server = server;
    this.telemetry = telemetry;
  }

  /**
   * The state.
   *
   * @param guard whose figures are wanted; null or a name that is not served for the first one
   * @param role of who looks
   */
  Map<String, Object> of(@Nullable String guard, Range range, Role role, Instant now) {
    List<String> names = server.guards().names();
    String chosen =
        guard != null && names.contains(guard) ? guard : names.isEmpty() ? null : names.get(0);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("at", now.toString());
    json.put("server", server(role));
    List<Object> guards = new ArrayList<>();
    for (String name : names) {
      Map<String, Object> state = new LinkedHashMap<>(server.guards().status(name));
      state.put("name", name);
      guards.add(state);
    }
    json.put("guards", guards);
    json.put("range", range.text());
    json.put("events", events());
    json.put("guard", chosen == null ? null : guard(chosen, range, now));
    return json;
  }

  private Map<String, Object> server(Role role) {
    Map<String, Object> problems = new LinkedHashMap<>();
    List<String> parts = new ArrayList<>();
    for (ServerPart part : server.parts()) {
      parts.add(part.name());
      String problem = part.problem();
      if (problem != null) {
        problems.put(part.name(), problem);
      }
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", Bundle.version());
    json.put("since", telemetry.since().toString());
    json.put("admin", role == Role.ADMIN);
    json.put("inputs", telemetry.keepsInputs());
    json.put("parts", parts);
    json.put("problems", problems);
    return json;
  }

  private List<Object> events() {
    List<Object> events = new ArrayList<>();
    for (ServerEvent event : telemetry.events()) {
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("at", event.at().toString());
      json.put("kind", event.kind().name());
      json.put("guard", event.guard());
      json.put("version", event.version());
      json.put("message", event.message());
      json.put("details", event.details());
      events.add(json);
    }
    return events;
  }

  private @Nullable Map<String, Object> guard(String name, Range range, Instant now) {
    GuardTelemetry counts = telemetry.guard(name);
    if (counts == null) {
      return null;
    }
    ServedGuard served = server.guards().get(name, null);
    ServedGuard shadow = server.guards().shadow(name);
    GuardSnapshot figures =
        new GuardSnapshot(
            counts,
            shadow == null ? null : telemetry.shadow(name),
            telemetry.since(),
            range,
            now.toEpochMilli());
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("name", name);
    json.put("info", GuardSnapshot.info(served));
    json.put("now", figures.lately());
    json.put("total", figures.total());
    json.put("series", figures.series());
    json.put("scores", figures.scores(served, shadow));
    json.put("classes", figures.classes(served, shadow));
    json.put("top", figures.top());
    Map<String, Object> parts = new LinkedHashMap<>();
    for (ServerPart part : server.parts()) {
      Map<String, Object> status = part.status(name);
      if (!status.isEmpty()) {
        parts.put(part.name(), status);
      }
    }
    json.put("parts", parts);
    return json;
  }
}
