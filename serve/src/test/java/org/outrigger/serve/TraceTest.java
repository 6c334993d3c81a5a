package org.outrigger.serve;

import static org.assertj.core.api.Assertions.assertThat;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.context.Scope;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TraceTest {
  private static final String ID = "4bf92f3577b34da6a3ce929d0e0e4736";
  private static final String PARENT = "00-" + ID + "-00f067aa0ba902b7-01";

  @Test
  void goesOnWithTheCallersTraceInASpanOfItsOwn() {
    Trace trace = Trace.of(Map.of("traceparent", PARENT, "tracestate", "vendor=1"));
    assertThat(trace.traceId()).isEqualTo(ID);
    assertThat(trace.spanId()).hasSize(16).isNotEqualTo("00f067aa0ba902b7");
    assertThat(trace.headers())
        .containsEntry("traceparent", "00-" + ID + "-" + trace.spanId() + "-01")
        .containsEntry("tracestate", "vendor=1");
    // A later version may have more fields.
    assertThat(Trace.of(Map.of("traceparent", "01" + PARENT.substring(2) + "-more")).traceId())
        .isEqualTo(ID);
  }

  @Test
  void whatIsNoTraceIsPassedOverAndATraceBegun() {
    for (String bad :
        List.of(
            "",
            "nonsense",
            PARENT.substring(1),
            PARENT + "-more",
            PARENT.toUpperCase(java.util.Locale.ROOT),
            "ff" + PARENT.substring(2),
            PARENT.replace(ID, "0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", "0".repeat(16)),
            PARENT.replace("4bf", "4bg"),
            "01" + PARENT.substring(2) + "-" + "m".repeat(600))) {
      Trace trace = Trace.of(Map.of("traceparent", bad));
      assertThat(trace.traceId()).as(bad).matches("[0-9a-f]{32}").isNotEqualTo(ID);
      assertThat(trace.headers().get("traceparent")).matches("00-[0-9a-f]{32}-[0-9a-f]{16}-00");
    }
    assertThat(Trace.of(Map.of()).traceId()).isNotEqualTo(Trace.of(Map.of()).traceId());
  }

  @Test
  void aSpanOfAnAgentIsTheOneNamed() {
    SpanContext agent =
        SpanContext.create(
            "a".repeat(32), "b".repeat(16), TraceFlags.getSampled(), TraceState.getDefault());
    try (Scope scope = Span.wrap(agent).makeCurrent()) {
      assertThat(scope).isNotNull();
      Trace trace = Trace.of(Map.of("traceparent", PARENT));
      assertThat(trace.span()).isEqualTo(agent);
    }
  }
}
