package org.outrigger.serve.store;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Which events are wanted, the newest first.
 *
 * @param guard its served name; null for all
 * @param kind of events of the server; null for all, and ignored for rows
 * @param from not earlier; null for no bound
 * @param to earlier than this; null for no bound
 * @param limit the most, 1 or more
 * @param page where the page before ended; null for the first
 */
public record EventQuery(
    @Nullable String guard,
    @Nullable String kind,
    @Nullable Instant from,
    @Nullable Instant to,
    int limit,
    @Nullable Page page) {

  /** The last event of a page. */
  public record Page(Instant at, long seq) {}

  /** The newest events of all guards. */
  public static EventQuery newest(int limit) {
    return new EventQuery(null, null, null, null, limit, null);
  }
}
