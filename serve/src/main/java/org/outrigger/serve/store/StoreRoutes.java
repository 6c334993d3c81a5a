package org.outrigger.serve.store;

import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import io.micrometer.core.instrument.Counter;
import java.sql.SQLException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Json;
import org.outrigger.serve.RequestBody;
import org.outrigger.serve.ServedGuard;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What clients may ask of the store, and tell it. */
final class StoreRoutes {
  private static final Logger LOG = LoggerFactory.getLogger(StoreRoutes.class);
  private static final int MOST_BYTES = 4 << 20;
  private static final int MOST_EVENTS = 1_000;
  private static final int QUESTIONS_AT_ONCE = 4;
  private static final long LABEL_SECONDS = 20;
  private static final double MOST_HOURS = 24 * 366 * 10.0;
  private static final Pattern PAGE = Pattern.compile("([0-9]{1,18})-([0-9]{1,18})");

  private final ServerContext server;
  private final WriteQueue queue;
  private final StoreQueries queries;
  private final Semaphore questions = new Semaphore(QUESTIONS_AT_ONCE);

  StoreRoutes(ServerContext server, WriteQueue queue, StoreQueries queries) {
    this.server = server;
    this.queue = queue;
    this.queries = queries;
  }

  static void add(RoutesConfig routes, java.util.function.Supplier<StoreRoutes> store) {
    routes.post("/v2/models/{model}/labels", ctx -> store.get().labels(ctx));
    routes.get("/v2/models/{model}/quality", ctx -> store.get().quality(ctx));
    routes.get("/v2/models/{model}/events", ctx -> store.get().events(ctx));
    routes.get("/v2/history", ctx -> store.get().history(ctx));
  }

  private ServedGuard guard(Context ctx) {
    return server.guards().get(ctx.pathParam("model"), null);
  }

  private void labels(Context ctx) {
    ServedGuard guard = guard(ctx);
    byte[] body = RequestBody.read(ctx, Math.min(MOST_BYTES, server.settings().maxRequestBytes()));
    List<PostedLabel> labels = PostedLabel.read(body, guard.guard().info().classNames());
    CompletableFuture<LabelResult> result = queue.offer(guard.name(), labels);
    if (result == null) {
      throw new Refusal(429, "Too many labels wait: try again in a moment.");
    }
    ctx.future(
        () ->
            result
                .orTimeout(LABEL_SECONDS, TimeUnit.SECONDS)
                .handle(
                    (written, failure) -> {
                      if (failure == null) {
                        json(ctx, answer(guard.name(), labels, written));
                      } else {
                        refuse(ctx, failure);
                      }
                      return null;
                    }));
  }

  private Map<String, Object> answer(String guard, List<PostedLabel> labels, LabelResult written) {
    List<Map<String, Object>> items = new ArrayList<>();
    int matched = 0;
    for (PostedLabel label : labels) {
      boolean known =
          written.matched().contains(new LabelResult.Name(label.request(), label.row()));
      matched += known ? 1 : 0;
      Map<String, Object> item = new LinkedHashMap<>();
      item.put("id", label.request());
      item.put("row", label.row());
      item.put("state", known ? "matched" : "waiting");
      items.add(item);
    }
    labels(guard, "matched").increment(matched);
    labels(guard, "waiting").increment(labels.size() - matched);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("matched", matched);
    json.put("waiting", labels.size() - matched);
    json.put("labels", items);
    return json;
  }

  private Counter labels(String guard, String state) {
    return Counter.builder("outrigger.labels")
        .description("Labels that came, by whether their rows were known")
        .tag("guard", guard)
        .tag("state", state)
        .register(server.registry());
  }

  private static void refuse(Context ctx, Throwable failure) {
    Refusal refusal =
        failure instanceof Refusal known
            ? known
            : failure instanceof TimeoutException
                ? new Refusal(503, "The database takes too long: send the labels again later.")
                : new Refusal(500, "The server failed; its log says why.");
    if (refusal.status() == 500) {
      LOG.error("Labels failed", failure);
    }
    if (refusal.status() == 503) {
      ctx.header("Retry-After", "5");
    }
    ctx.status(refusal.status())
        .contentType("application/json")
        .result(Json.compact(Map.of("error", String.valueOf(refusal.getMessage()))));
  }

  private void quality(Context ctx) {
    String guard = guard(ctx).name();
    double hours = hours(ctx.queryParam("hours"));
    Instant since = Instant.now().minus(Duration.ofMillis((long) (hours * 3_600_000)));
    json(ctx, ask(() -> quality(queries, guard, since)));
  }

  /** How well a guard did, as JSON types: of what answered, and by version. */
  static Map<String, Object> quality(StoreQueries queries, String guard, Instant since)
      throws SQLException {
    LiveQuality.Counter answering = new LiveQuality.Counter();
    var versions = queries.quality(guard, since, answering);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("guard", guard);
    json.put("since", since.toString());
    json.putAll(answering.quality().json());
    List<Map<String, Object>> all = new ArrayList<>();
    versions.forEach(
        (version, counter) -> {
          Map<String, Object> one = new LinkedHashMap<>();
          one.put("version", version.version());
          one.put("shadow", version.shadow());
          one.putAll(counter.quality().json());
          all.add(one);
        });
    json.put("versions", all);
    return json;
  }

  private void events(Context ctx) {
    EventQuery asked = query(ctx, guard(ctx).name(), null);
    List<StoredRow> rows = ask(() -> queries.rows(asked));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("events", rows.stream().map(StoredRow::json).toList());
    if (rows.size() == asked.limit()) {
      StoredRow last = rows.get(rows.size() - 1);
      json.put("next", page(last.at(), last.seq()));
    }
    json(ctx, json);
  }

  private void history(Context ctx) {
    EventQuery asked = query(ctx, ctx.queryParam("guard"), kind(ctx.queryParam("kind")));
    List<StoreQueries.Happened> all = ask(() -> queries.history(asked));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("events", all.stream().map(each -> json(each.event())).toList());
    if (all.size() == asked.limit()) {
      StoreQueries.Happened last = all.get(all.size() - 1);
      json.put("next", page(last.event().at(), last.seq()));
    }
    json(ctx, json);
  }

  private static Map<String, Object> json(ServerEvent event) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("at", event.at().toString());
    json.put("kind", event.kind().name());
    json.put("guard", event.guard());
    json.put("version", event.version());
    json.put("message", event.message());
    json.put("details", event.details());
    return json;
  }

  /** A question to the database. */
  private interface Question<T> {
    T ask() throws SQLException;
  }

  private <T> T ask(Question<T> question) {
    if (!questions.tryAcquire()) {
      throw new Refusal(429, "Too many ask the event store: try again in a moment.");
    }
    try {
      return question.ask();
    } catch (SQLException e) {
      LOG.warn("The event store cannot be read", e);
      throw new Refusal(503, "The event store cannot be read now: try again later.");
    } finally {
      questions.release();
    }
  }

  private static EventQuery query(Context ctx, @Nullable String guard, @Nullable String kind) {
    return new EventQuery(
        guard,
        kind,
        instant(ctx, "from"),
        instant(ctx, "to"),
        limit(ctx.queryParam("limit")),
        page(ctx.queryParam("page")));
  }

  private static double hours(@Nullable String text) {
    if (text == null) {
      return 24;
    }
    if (text.matches("[0-9]{1,6}(\\.[0-9]{1,6})?")) {
      double hours = Double.parseDouble(text);
      if (hours > 0 && hours <= MOST_HOURS) {
        return hours;
      }
    }
    throw Refusal.bad("hours is a number above 0, such as 24.");
  }

  private static int limit(@Nullable String text) {
    if (text == null) {
      return 100;
    }
    if (text.matches("[1-9][0-9]{0,3}") && Integer.parseInt(text) <= MOST_EVENTS) {
      return Integer.parseInt(text);
    }
    throw Refusal.bad("limit is 1 to " + MOST_EVENTS + "; further pages follow with page=.");
  }

  private static @Nullable Instant instant(Context ctx, String name) {
    String text = ctx.queryParam(name);
    if (text == null) {
      return null;
    }
    try {
      Instant at = Instant.parse(text);
      if (at.isAfter(Instant.parse("1900-01-01T00:00:00Z"))
          && at.isBefore(Instant.parse("2200-01-01T00:00:00Z"))) {
        return at;
      }
    } catch (DateTimeException e) {
      // Falls through: it is none.
    }
    throw Refusal.bad(name + " is an instant, such as 2026-01-31T12:00:00Z.");
  }

  private static @Nullable String kind(@Nullable String text) {
    if (text == null) {
      return null;
    }
    try {
      return ServerEvent.Kind.valueOf(text.toUpperCase(Locale.ROOT)).name();
    } catch (IllegalArgumentException e) {
      throw Refusal.bad(
          "There is no such kind; there are: " + List.of(ServerEvent.Kind.values()) + ".");
    }
  }

  private static String page(Instant at, long seq) {
    return ChronoUnit.MICROS.between(Instant.EPOCH, at) + "-" + seq;
  }

  private static EventQuery.@Nullable Page page(@Nullable String text) {
    if (text == null) {
      return null;
    }
    var matcher = PAGE.matcher(text);
    if (!matcher.matches() || matcher.group(1).length() > 16) {
      throw Refusal.bad("page is what the page before gave as next.");
    }
    return new EventQuery.Page(
        Instant.EPOCH.plus(Long.parseLong(matcher.group(1)), ChronoUnit.MICROS),
        Long.parseLong(matcher.group(2)));
  }

  private static void json(Context ctx, Map<String, Object> value) {
    ctx.contentType("application/json").result(Json.compact(value));
  }
}
