package org.outrigger.serve;

import io.javalin.config.RoutesConfig;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a server has besides inference: an event store, drift monitors, a dashboard. It is started
 * before the server listens, is told of all that happens, may add routes, and is closed after the
 * last request was answered. Only {@link #start}, {@link #routes} and {@link #close} may take long.
 */
public interface ServerPart extends TrafficListener, AutoCloseable {
  /** Its name in the server's status. */
  String name();

  /** Takes up the server; no request has come yet. */
  default void start(ServerContext server) {}

  /** Adds routes. What is below {@code /v2/repository/models/} takes the role admin. */
  default void routes(RoutesConfig routes) {}

  /** A version of a guard was opened and is about to answer (or to watch). */
  default void opened(ServedGuard guard) {}

  @Override
  default void judged(JudgedBatch batch) {}

  /** A request for inference was answered, well or with an error. */
  default void answered(AnsweredRequest request) {}

  /** Something happened; the part that published it is told too. */
  default void happened(ServerEvent event) {}

  /**
   * Whether everybody may get what is at a path, also where the server asks for tokens: a page and
   * its files, never data.
   */
  default boolean open(String path) {
    return false;
  }

  /** The server is about to stop: answers that would go on for ever end now. */
  default void stopping() {}

  /**
   * What rows really were became known; the event store tells, on a thread of its own. A row is
   * told again when its label is corrected.
   *
   * @param guard the served name of all rows
   * @param rows in the order in which they were judged; none of a shadow
   */
  default void labelled(String guard, List<LabelledRow> rows) {}

  /** What is wrong with it, in one sentence; null if nothing is. */
  default @Nullable String problem() {
    return null;
  }

  /** What it knows about a guard, as JSON types; part of the server's status. */
  default Map<String, Object> status(String guard) {
    return Map.of();
  }

  @Override
  default void close() {}
}
