package org.outrigger.serve.monitor;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Json;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.Trace;

/**
 * Posts what an operator has to know to webhooks: drift and its end, adapters that were rolled
 * back, troubles. {@code docs/alerts.md} describes the message.
 */
public final class Alerts implements ServerPart {
  private static final String SCHEMA = "outrigger.alert/1";
  private static final Set<ServerEvent.Kind> SENT =
      Set.of(
          ServerEvent.Kind.DRIFT,
          ServerEvent.Kind.RECOVERED,
          ServerEvent.Kind.ADAPTER_ROLLED_BACK,
          ServerEvent.Kind.TROUBLE);

  private final List<WebhookSettings> receivers;
  private final List<Webhook> webhooks = new ArrayList<>();
  private @Nullable MeterRegistry registry;

  /**
   * @param receivers each gets every alert, and none waits for another
   */
  public Alerts(List<WebhookSettings> receivers) {
    this.receivers = List.copyOf(receivers);
  }

  @Override
  public String name() {
    return "alerts";
  }

  @Override
  public void start(ServerContext server) {
    registry = server.registry();
    for (WebhookSettings receiver : receivers) {
      webhooks.add(new Webhook(receiver, outcome -> count(receiver, outcome)));
    }
  }

  private void count(WebhookSettings receiver, Webhook.Outcome outcome) {
    Counter.builder("outrigger.alerts")
        .description("Alerts to webhooks, and what became of them")
        .tag("receiver", receiver.url().getHost())
        .tag("outcome", outcome.name().toLowerCase(Locale.ROOT))
        .register(Objects.requireNonNull(registry))
        .increment();
  }

  @Override
  public void happened(ServerEvent event) {
    if (webhooks.isEmpty() || !SENT.contains(event.kind())) {
      return;
    }
    Webhook.Alert alert = alert(event);
    webhooks.forEach(webhook -> webhook.send(alert));
  }

  private static Webhook.Alert alert(ServerEvent event) {
    String id = UUID.randomUUID().toString();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("schema", SCHEMA);
    json.put("id", id);
    json.put("at", event.at().toString());
    json.put("kind", event.kind().name());
    json.put("guard", event.guard());
    json.put("version", event.version());
    json.put("message", event.message());
    json.put("details", event.details());
    json.put("text", (event.kind() == ServerEvent.Kind.RECOVERED ? "" : "⚠ ") + event.message());
    return new Webhook.Alert(id, Json.compact(json), trace(event).headers());
  }

  /** Goes on with the trace of the request that completed a window. */
  private static Trace trace(ServerEvent event) {
    return event.details().get("trace") instanceof Map<?, ?> headers
        ? Trace.of(name -> headers.get(name) instanceof String value ? value : null)
        : Trace.of(Map.of());
  }

  @Override
  public @Nullable String problem() {
    for (Webhook webhook : webhooks) {
      String problem = webhook.problem();
      if (problem != null) {
        return problem;
      }
    }
    return null;
  }

  @Override
  public Map<String, Object> status(String guard) {
    return Map.of(
        "receivers",
        webhooks.stream()
            .map(each -> Map.of("to", each.shown(), "waiting", each.waiting()))
            .toList());
  }

  @Override
  public void close() {
    // Side by side, so that a stop takes no longer for many receivers than for one.
    webhooks.parallelStream().forEach(Webhook::close);
  }
}
