package org.outrigger.serve.dashboard;

import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import java.time.Instant;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Json;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardReference;
import org.outrigger.serve.AnsweredRequest;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.ServedGuard;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.Tokens;
import org.outrigger.serve.protocol.Refusal;

/**
 * A page at {@code /} that shows live what the guards do: traffic, latency, unknown inputs, drift,
 * calibration, adapters, versions. What it counts is in memory of a fixed size and starts anew with
 * the server. What other parts of the server know is shown by their {@link ServerPart#status}.
 *
 * <p>The page and its files are open to everybody; its data takes a token where the server asks for
 * one.
 */
public final class Dashboard implements ServerPart {
  /** How long one picture of the state serves several pages. */
  private static final long FRESH = 200_000_000;

  private record View(@Nullable String guard, Range range, Snapshot.Role role) {}

  private record Drawn(long nanos, long generation, String json) {}

  private final Telemetry telemetry;
  private final LiveStream live;
  private final Assets assets = new Assets();
  private final Map<View, Drawn> drawn = new ConcurrentHashMap<>();
  private volatile long generation;
  private @Nullable ServerContext server;
  private @Nullable Snapshot snapshot;

  /** A dashboard of a server that is about to start. */
  public Dashboard(DashboardSettings settings) {
    telemetry = new Telemetry(settings.inputs(), Instant.now());
    live = new LiveStream(settings.subscribers(), settings.interval());
  }

  @Override
  public String name() {
    return "dashboard";
  }

  @Override
  public void start(ServerContext context) {
    server = context;
    snapshot = new Snapshot(context, telemetry);
  }

  @Override
  public boolean open(String path) {
    return assets.has(path);
  }

  @Override
  public void routes(RoutesConfig routes) {
    routes.get("/", assets::page);
    routes.get("/assets/{hash}/{file}", assets::file);
    routes.get(
        "/api/dashboard", ctx -> ctx.contentType("application/json").result(json(view(ctx))));
    routes.get("/api/dashboard/inputs/{guard}/{key}", this::input);
    routes.get(
        "/api/dashboard/stream",
        ctx -> {
          View view = view(ctx);
          live.serve(ctx, () -> json(view));
        });
  }

  private View view(Context ctx) {
    String range = ctx.queryParam("range");
    String guard = ctx.queryParam("guard");
    return new View(
        guard != null && server().guards().names().contains(guard) ? guard : null,
        Range.of(range == null ? Range.MINUTES_15.text() : range),
        ctx.attribute(GuardServer.ROLE) == Tokens.Role.INFER
            ? Snapshot.Role.READ
            : Snapshot.Role.ADMIN);
  }

  /** The state as JSON; pages that look at the same share it. */
  private String json(View view) {
    long asked = generation;
    Drawn last = drawn.get(view);
    if (last != null && last.generation == asked && System.nanoTime() - last.nanos < FRESH) {
      return last.json;
    }
    String json =
        Json.compact(
            Objects.requireNonNull(snapshot).of(view.guard, view.range, view.role, Instant.now()));
    if (drawn.size() > 100) {
      drawn.clear();
    }
    drawn.put(view, new Drawn(System.nanoTime(), asked, json));
    return json;
  }

  private void input(Context ctx) {
    GuardTelemetry counts = telemetry.guard(ctx.pathParam("guard"));
    String key = ctx.pathParam("key");
    KeptInput input =
        counts == null || !key.matches("[0-9]{1,18}") ? null : counts.input(Long.parseLong(key));
    if (input == null) {
      throw Refusal.missing("That input is not kept.");
    }
    ctx.contentType("application/json").result(Json.compact(input.toJson()));
  }

  private ServerContext server() {
    return Objects.requireNonNull(server);
  }

  @Override
  public void opened(ServedGuard guard) {
    telemetry.opened(
        guard.name(),
        guard.version(),
        guard.shadow(),
        new Shapes(guard.guard().info(), reference(guard.guard())));
  }

  private static @Nullable Reference reference(Guard guard) {
    GuardReference kept = guard.reference();
    if (kept == null || kept.size() == 0) {
      return null;
    }
    double[] scores = kept.scores();
    Arrays.sort(scores);
    long[] classes = new long[guard.info().classNames().size()];
    for (int predicted : kept.predicted()) {
      classes[predicted]++;
    }
    return new Reference(scores, classes);
  }

  @Override
  public void judged(JudgedBatch batch) {
    telemetry.judged(batch, waiting(batch));
  }

  private int waiting(JudgedBatch batch) {
    try {
      ServedGuard guard =
          batch.shadow()
              ? server().guards().shadow(batch.guard())
              : server().guards().get(batch.guard(), null);
      return guard == null ? 0 : guard.waiting();
    } catch (Refusal gone) {
      // It was taken out while it judged its last rows.
      return 0;
    }
  }

  @Override
  public void answered(AnsweredRequest request) {
    telemetry.answered(request);
  }

  @Override
  public void happened(ServerEvent event) {
    telemetry.happened(event);
    generation++;
    live.happened();
  }

  /** How many pages are told of news. */
  int pages() {
    return live.open();
  }

  @Override
  public void stopping() {
    live.stop();
  }
}
