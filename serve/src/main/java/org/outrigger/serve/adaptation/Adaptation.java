package org.outrigger.serve.adaptation;

import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.core.io.Json;
import org.outrigger.guard.GuardStreams;
import org.outrigger.serve.ServedGuard;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets the streams that clients name follow an adapter each, on a safety net. Requests without a
 * stream are answered by the model itself. What streams learn is written every so often, when they
 * leave memory and at the end; they go on from there.
 */
public final class Adaptation implements ServerPart {
  private static final Logger LOG = LoggerFactory.getLogger(Adaptation.class);
  private static final int WAITING_WRITES = 4;
  private static final Duration QUIET = Duration.ofMinutes(1);

  private final AdaptationSettings settings;
  private final Map<String, FollowedGuard> followed = new ConcurrentHashMap<>();
  private final Map<String, Instant> told = new ConcurrentHashMap<>();
  private final ExecutorService writer = Executors.newSingleThreadExecutor(Adaptation::thread);
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(Adaptation::thread);
  private final Semaphore places = new Semaphore(WAITING_WRITES);
  private @Nullable ServerContext context;
  private volatile @Nullable String problem;

  public Adaptation(AdaptationSettings settings) {
    this.settings = settings;
  }

  private static Thread thread(Runnable work) {
    Thread thread = new Thread(work, "adaptation");
    thread.setDaemon(true);
    return thread;
  }

  @Override
  public String name() {
    return "adaptation";
  }

  @Override
  public void start(ServerContext server) {
    context = server;
    if (settings.enabled()) {
      long every = settings.checkpoint().toMillis();
      var unused =
          clock.scheduleWithFixedDelay(this::checkpoint, every, every, TimeUnit.MILLISECONDS);
    }
  }

  private void checkpoint() {
    for (FollowedGuard each : followed.values()) {
      try {
        each.checkpoint();
      } catch (RuntimeException | OutOfMemoryError e) {
        LOG.error("Adapted streams could not be copied for a checkpoint", e);
      }
    }
  }

  private ServerContext server() {
    return Objects.requireNonNull(context, "not started");
  }

  @Override
  public void opened(ServedGuard guard) {
    String name = guard.name();
    boolean holds = guard.guard().adapter() != null;
    if (guard.shadow()) {
      return;
    }
    if (!settings.enabled()) {
      if (holds) {
        LOG.info(
            "{} holds an adapter ({}), which is off: the model itself answers. --adapt lets streams"
                + " follow it.",
            name,
            guard.guard().info().adapter());
      }
      return;
    }
    if (settings.stack() == null && !holds) {
      FollowedGuard before = followed.get(name);
      if (before != null) {
        before.stops();
      }
      publish(
          ServerEvent.Kind.TROUBLE,
          name,
          guard.version(),
          name
              + " does not adapt, since its bundle holds no adapter: name a stack, such as --adapt"
              + " eata:beta=0, or fit the guard with one.",
          Map.of());
      return;
    }
    GuardStreams start = guard.guard().streams(settings.stack(), settings.batch());
    try {
      followed.computeIfAbsent(name, this::follow).opened(guard, start);
    } catch (RuntimeException e) {
      start.close();
      throw e;
    }
    LOG.info("Streams of {} follow {}", name, start.stack());
  }

  private FollowedGuard follow(String name) {
    // The name of a guard is safe as that of a folder.
    Checkpoints checkpoints =
        new Checkpoints(settings.folder().resolve(name), settings.stored(), bounded());
    rollbacks(name);
    failures(name);
    FollowedGuard guard = new FollowedGuard(settings, checkpoints, new Told(name));
    Gauge.builder("outrigger.adapter.streams", guard, FollowedGuard::size)
        .description("Adapted streams in memory")
        .tag("guard", name)
        .register(registry());
    return guard;
  }

  /** The writer; when it is far behind, who has more to write waits. */
  private Executor bounded() {
    return work -> {
      places.acquireUninterruptibly();
      Runnable last =
          () -> {
            try {
              work.run();
            } finally {
              places.release();
            }
          };
      try {
        writer.execute(last);
      } catch (RejectedExecutionException closing) {
        last.run();
      }
    };
  }

  private MeterRegistry registry() {
    return server().registry();
  }

  private Counter rollbacks(String guard) {
    return Counter.builder("outrigger.adapter.rollbacks")
        .description("Roll-backs of adapters by the safety net")
        .tag("guard", guard)
        .register(registry());
  }

  private Counter failures(String guard) {
    return Counter.builder("outrigger.adapter.failures")
        .description("Adapters that failed, so that the model itself answered")
        .tag("guard", guard)
        .register(registry());
  }

  private void publish(
      ServerEvent.Kind kind,
      String guard,
      String version,
      String message,
      Map<String, Object> details) {
    server()
        .publish()
        .accept(new ServerEvent(Instant.now(), kind, guard, version, message, details));
  }

  /** Tells operators what befalls the streams of a guard. */
  private final class Told implements FollowedGuard.Reports {
    private final String guard;

    Told(String guard) {
      this.guard = guard;
    }

    @Override
    public void rolledBack(String version, String stream, SafetyNet.Event event) {
      rollbacks(guard).increment();
      Map<String, Object> details = new LinkedHashMap<>();
      details.put("stream", stream);
      details.put("reason", event.reason().name());
      details.put("startedOver", event.startedOver());
      number(details, "confidence", event.health().confidence());
      number(details, "agreement", event.health().agreement());
      number(details, "spread", event.health().spread());
      publish(
          ServerEvent.Kind.ADAPTER_ROLLED_BACK,
          guard,
          version,
          "The adapter of stream " + stream + " of " + guard + ", " + event + ".",
          details);
    }

    private void number(Map<String, Object> details, String name, double value) {
      if (Double.isFinite(value)) {
        details.put(name, value);
      }
    }

    @Override
    public void failed(String version, String stream, Throwable failure) {
      failures(guard).increment();
      Instant now = Instant.now();
      String key = guard + "/" + stream;
      Instant last = told.get(key);
      if (last == null || last.plus(QUIET).isBefore(now)) {
        if (told.size() >= settings.stored()) {
          told.clear();
        }
        told.put(key, now);
        LOG.warn("The adapter of stream {} of {} failed", stream, guard, failure);
        trouble(version, stream, "The adapter failed, and the model itself answers: " + failure);
      }
    }

    @Override
    public void trouble(String version, String stream, String message) {
      publish(
          ServerEvent.Kind.TROUBLE,
          guard,
          version,
          "Stream " + stream + " of " + guard + ": " + message,
          Map.of("stream", stream));
    }

    @Override
    public void writing(@Nullable Throwable failure) {
      String before = problem;
      problem =
          failure == null
              ? null
              : "What streams learn cannot be written to " + settings.folder() + ".";
      if (failure != null && before == null) {
        LOG.error("What streams of {} learn cannot be written", guard, failure);
        publish(ServerEvent.Kind.TROUBLE, guard, "", String.valueOf(problem), Map.of());
      }
    }
  }

  @Override
  public void happened(ServerEvent event) {
    FollowedGuard guard = followed.get(event.guard());
    if (guard != null
        && (event.kind() == ServerEvent.Kind.LOADED
            || event.kind() == ServerEvent.Kind.ROLLED_BACK)) {
      guard.answers(event.version());
    }
  }

  @Override
  public void routes(RoutesConfig routes) {
    routes.get(
        "/v2/models/{model}/streams",
        ctx -> {
          String model = ctx.pathParam("model");
          server().guards().get(model, null);
          json(ctx, status(model));
        });
    String stream = "/v2/repository/models/{model}/streams/{stream}";
    routes.post(stream + "/reset", ctx -> done(ctx, asked(ctx).reset(named(ctx)), "reset"));
    routes.delete(stream, ctx -> done(ctx, asked(ctx).delete(named(ctx)), "deleted"));
  }

  private FollowedGuard asked(Context ctx) {
    String model = ctx.pathParam("model");
    server().guards().get(model, null);
    FollowedGuard guard = followed.get(model);
    if (guard == null) {
      throw Refusal.missing("This guard does not adapt; serve it with --adapt.");
    }
    return guard;
  }

  private static String named(Context ctx) {
    return ctx.pathParam("stream");
  }

  private static void done(Context ctx, boolean found, String what) {
    if (!found) {
      throw Refusal.missing("There is no stream of that name.");
    }
    json(ctx, Map.of("name", ctx.pathParam("model"), "stream", named(ctx), "state", what));
  }

  private static void json(Context ctx, Map<String, Object> value) {
    ctx.contentType("application/json").result(Json.compact(value));
  }

  @Override
  public @Nullable String problem() {
    return problem;
  }

  @Override
  public Map<String, Object> status(String guard) {
    FollowedGuard found = followed.get(guard);
    return found == null ? Map.of("enabled", false, "streams", List.of()) : found.status();
  }

  @Override
  public void close() {
    clock.shutdown();
    checkpoint();
    writer.shutdown();
    try {
      if (!writer.awaitTermination(60, TimeUnit.SECONDS)) {
        LOG.error("What streams learned last could not be written within a minute");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
