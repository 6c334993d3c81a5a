package org.outrigger.serve;

import java.time.Instant;
import java.util.Map;

/**
 * Something that an operator wants to know: a guard was exchanged, its inputs drift, its adapter
 * was rolled back.
 *
 * @param at when it happened
 * @param kind what it is
 * @param guard the served name; {@code ""} if it is about the whole server
 * @param version of the guard; {@code ""} if none
 * @param message one sentence for people
 * @param details for programs, as JSON types; what they are depends on the kind
 */
public record ServerEvent(
    Instant at,
    Kind kind,
    String guard,
    String version,
    String message,
    Map<String, Object> details) {
  public ServerEvent {
    details = Map.copyOf(details);
  }

  /** What events are about. */
  public enum Kind {
    LOADED,
    ROLLED_BACK,
    SHADOWED,
    UNLOADED,
    DRIFT,
    /** What drifted is as it was. */
    RECOVERED,
    ADAPTER_ROLLED_BACK,
    TROUBLE
  }
}
