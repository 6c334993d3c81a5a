package org.outrigger.serve;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanId;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceId;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Where some work belongs in a trace that spans several programs (W3C Trace Context, level 1). It
 * goes on with the trace of the caller, or begins one. Where OpenTelemetry's Java agent watches the
 * server, its spans are the ones named here.
 *
 * @param span the work, within its trace
 */
public record Trace(SpanContext span) {
  /** The header of the trace and the span. */
  public static final String PARENT = "traceparent";

  /** The header of what tracing systems pass on. */
  public static final String STATE = "tracestate";

  private static final int LONGEST = 512;

  private static final TextMapGetter<UnaryOperator<@Nullable String>> HEADERS =
      new TextMapGetter<>() {
        @Override
        public Iterable<String> keys(UnaryOperator<@Nullable String> headers) {
          return List.of(PARENT, STATE);
        }

        @Override
        public @Nullable String get(
            @Nullable UnaryOperator<@Nullable String> headers, String name) {
          String value = headers == null ? null : headers.apply(name);
          return value == null || value.length() > LONGEST ? null : value;
        }
      };

  /**
   * A new span of the trace that a request belongs to. Headers that are no valid trace are passed
   * over.
   *
   * @param headers gives the value of a header, or null
   */
  public static Trace of(UnaryOperator<@Nullable String> headers) {
    SpanContext current = Span.current().getSpanContext();
    if (current.isValid()) {
      return new Trace(current);
    }
    return child(
        Span.fromContext(
                W3CTraceContextPropagator.getInstance().extract(Context.root(), headers, HEADERS))
            .getSpanContext());
  }

  /**
   * A new span for work that a request caused.
   *
   * @param headers of that request, as {@link #headers}; empty begins a trace
   */
  public static Trace of(Map<String, String> headers) {
    return of(headers::get);
  }

  private static Trace child(SpanContext parent) {
    ThreadLocalRandom random = ThreadLocalRandom.current();
    String trace = parent.getTraceId();
    if (!parent.isValid()) {
      trace = TraceId.fromLongs(random.nextLong(), random.nextLong(1, Long.MAX_VALUE));
    }
    return new Trace(
        SpanContext.create(
            trace,
            SpanId.fromLong(random.nextLong(1, Long.MAX_VALUE)),
            parent.isValid() ? parent.getTraceFlags() : TraceFlags.getDefault(),
            parent.isValid() ? parent.getTraceState() : TraceState.getDefault()));
  }

  /** 32 hexadecimal digits. */
  public String traceId() {
    return span.getTraceId();
  }

  /** 16 hexadecimal digits. */
  public String spanId() {
    return span.getSpanId();
  }

  /** The headers that pass it on. */
  public Map<String, String> headers() {
    Map<String, String> headers = new LinkedHashMap<>();
    W3CTraceContextPropagator.getInstance()
        .inject(
            Context.root().with(Span.wrap(span)),
            headers,
            (map, name, value) -> {
              if (map != null) {
                map.put(name, value);
              }
            });
    return headers;
  }
}
