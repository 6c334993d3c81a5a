package org.outrigger.serve;

import io.javalin.http.Context;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * What a log says about requests: a line for each in the logger {@code org.outrigger.access} at
 * INFO, and the request's id and trace in the diagnostic context of whatever is logged on its
 * behalf, under the names that OpenTelemetry uses.
 */
final class RequestLog {
  private static final Logger ACCESS = LoggerFactory.getLogger("org.outrigger.access");
  private static final String ATTRIBUTE = "request-log";
  private static final int LONGEST = 200;

  /** What is known of a request. */
  private static final class Entry {
    private final Trace trace;
    private @Nullable String id;
    private long rows;

    Entry(Trace trace) {
      this.trace = trace;
    }
  }

  private RequestLog() {}

  /** A request came: finds its trace, and says it to the client. */
  static void begin(Context ctx) {
    Entry entry = new Entry(Trace.of(ctx::header));
    ctx.attribute(ATTRIBUTE, entry);
    entry.trace.headers().forEach(ctx::header);
    enter(entry);
  }

  /**
   * The request has an id and rows.
   *
   * @return its trace
   */
  static Trace of(Context ctx, String id, long rows) {
    Entry entry = Objects.requireNonNull(ctx.attribute(ATTRIBUTE));
    entry.id = id;
    entry.rows = rows;
    enter(entry);
    return entry.trace;
  }

  /** Runs something on behalf of a request on another thread. */
  static void within(Context ctx, Runnable action) {
    Entry entry = ctx.attribute(ATTRIBUTE);
    if (entry != null) {
      enter(entry);
    }
    try {
      action.run();
    } finally {
      leave();
    }
  }

  /** The request was answered. */
  static void end(Context ctx, float milliseconds) {
    Entry entry = ctx.attribute(ATTRIBUTE);
    try {
      if (entry == null || !ACCESS.isInfoEnabled()) {
        return;
      }
      enter(entry);
      String path = path(ctx.path());
      LoggingEventBuilder line =
          ACCESS
              .atInfo()
              .addKeyValue("method", ctx.method())
              .addKeyValue("path", path)
              .addKeyValue("status", ctx.statusCode())
              .addKeyValue("ms", milliseconds);
      if (entry.rows > 0) {
        line = line.addKeyValue("rows", entry.rows);
      }
      line.log(
          String.format(
              Locale.ROOT,
              "%s %s %d %.1f ms%s",
              ctx.method(),
              path,
              ctx.statusCode(),
              milliseconds,
              entry.rows > 0 ? ", rows: " + entry.rows : ""));
    } finally {
      leave();
    }
  }

  /** A path without what could forge a line of the log. */
  private static String path(String path) {
    String cut = path.length() > LONGEST ? path.substring(0, LONGEST) + "..." : path;
    return cut.replaceAll("\\p{Cntrl}", "?");
  }

  private static void enter(Entry entry) {
    MDC.put("trace_id", entry.trace.traceId());
    MDC.put("span_id", entry.trace.spanId());
    if (entry.id == null) {
      MDC.remove("request_id");
    } else {
      MDC.put("request_id", entry.id);
    }
  }

  /** The thread works for somebody else now. */
  private static void leave() {
    MDC.remove("trace_id");
    MDC.remove("span_id");
    MDC.remove("request_id");
  }
}
