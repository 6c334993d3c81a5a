package org.outrigger.serve;

import io.javalin.Javalin;
import io.javalin.config.JavalinConfig;
import io.javalin.http.Context;
import io.javalin.http.HandlerType;
import io.javalin.http.HttpResponseException;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.SecureRequestCustomizer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.SslConnectionFactory;
import org.eclipse.jetty.util.ssl.SslContextFactory;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Bundle;
import org.outrigger.core.io.Json;
import org.outrigger.serve.protocol.InferRequest;
import org.outrigger.serve.protocol.InferResponse;
import org.outrigger.serve.protocol.InputTensor;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * Guards behind HTTP: the REST endpoints of the Open Inference Protocol, version 2, so that clients
 * of KServe and Triton work, with the guard's verdict as further outputs.
 *
 * <pre>{@code
 * try (GuardServer server = GuardServer.start(ServerSettings.defaults(), "cpu")) {
 *   server.guards().load("resnet", Path.of("resnet.guard"));
 *   ...
 * }
 * }</pre>
 */
public final class GuardServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(GuardServer.class);
  private static final String JSON = "application/json";
  private static final String BINARY = "application/octet-stream";
  private static final String HEAD_LENGTH = "Inference-Header-Content-Length";
  private static final String SAID = "said";

  /** The attribute of a request that holds its {@link Tokens.Role}, where tokens are asked for. */
  public static final String ROLE = "role";

  private final ServerSettings settings;
  private final @Nullable Tokens tokens;
  private final ServerMetrics metrics = new ServerMetrics();
  private final List<ServerPart> parts;
  private final List<TrafficListener> listeners = new CopyOnWriteArrayList<>();
  private final Guards guards;
  private final BodyBudget bodies;

  /** Answers are not written by the guards' threads, which have the next batch to judge. */
  private final ExecutorService writers = Executors.newFixedThreadPool(2, GuardServer::writer);

  private final Javalin javalin;
  private volatile boolean stopping;

  private GuardServer(
      ServerSettings settings, String device, BodyBudget bodies, List<ServerPart> parts) {
    this.settings = settings;
    this.bodies = bodies;
    this.parts = List.copyOf(parts);
    tokens = settings.tokens() == null ? null : Tokens.read(settings.tokens());
    guards = new Guards(settings, device, new Hooks());
    javalin = Javalin.create(this::configure);
  }

  /**
   * Starts a server, which has no guards yet.
   *
   * @param device as in {@code core.torch.Torch#device}
   * @param parts what it has besides inference; it closes them
   * @throws OutriggerException if the address cannot be listened on, or a part cannot start
   */
  public static GuardServer start(ServerSettings settings, String device, ServerPart... parts) {
    return start(settings, device, BodyBudget.ofHeap(settings.maxRequestBytes()), parts);
  }

  static GuardServer start(
      ServerSettings settings, String device, BodyBudget bodies, ServerPart... parts) {
    GuardServer server;
    try {
      server = new GuardServer(settings, device, bodies, List.of(parts));
    } catch (RuntimeException e) {
      List.of(parts).forEach(ServerPart::close);
      throw e;
    }
    try {
      ServerContext context =
          new ServerContext(
              server.guards,
              server.metrics.registry(),
              settings,
              server::publish,
              server::labelled,
              server.parts);
      server.parts.forEach(part -> part.start(context));
    } catch (RuntimeException e) {
      server.close();
      throw e;
    }
    try {
      server.javalin.start();
    } catch (RuntimeException e) {
      server.close();
      throw new OutriggerException(
          "The server cannot listen on "
              + settings.host()
              + ":"
              + settings.port()
              + ": another program may use the port; choose one with --port.\n"
              + e.getMessage(),
          e);
    }
    return server;
  }

  /** Its guards. */
  public Guards guards() {
    return guards;
  }

  /** The port it listens on. */
  public int port() {
    return javalin.port();
  }

  /** Adds one that is told what guards answered. */
  public void listen(TrafficListener listener) {
    listeners.add(listener);
  }

  /** What the guards tell. */
  private final class Hooks implements Guards.Hooks {
    @Override
    public ServedGuard.Watch watch(String guard) {
      metrics.queue(
          guard, () -> guards.names().contains(guard) ? guards.get(guard, null).waiting() : 0);
      return metrics.watch(guard);
    }

    @Override
    public void judged(JudgedBatch batch) {
      metrics.judged(batch);
      parts.forEach(part -> tell(part, batch));
      listeners.forEach(each -> tell(each, batch));
    }

    @Override
    public void opened(ServedGuard guard) {
      parts.forEach(part -> part.opened(guard));
    }

    @Override
    public void happened(ServerEvent event) {
      publish(event);
    }
  }

  private static void tell(TrafficListener listener, JudgedBatch batch) {
    try {
      listener.judged(batch);
    } catch (RuntimeException e) {
      LOG.warn("A listener failed on a batch of {}", batch.guard(), e);
    }
  }

  private void tell(AnsweredRequest request) {
    for (ServerPart part : parts) {
      try {
        part.answered(request);
      } catch (RuntimeException e) {
        LOG.warn("The part {} failed on an answered request", part.name(), e);
      }
    }
  }

  private void publish(ServerEvent event) {
    LOG.atLevel(level(event.kind()))
        .addKeyValue("event", event.kind())
        .addKeyValue("guard", event.guard())
        .addKeyValue("version", event.version())
        .log(event.message());
    for (ServerPart part : parts) {
      try {
        part.happened(event);
      } catch (RuntimeException e) {
        LOG.warn("The part {} failed on an event", part.name(), e);
      }
    }
  }

  private void labelled(String guard, List<LabelledRow> rows) {
    for (ServerPart part : parts) {
      try {
        part.labelled(guard, rows);
      } catch (RuntimeException e) {
        LOG.warn("The part {} failed on labels of {}", part.name(), guard, e);
      }
    }
  }

  private static Level level(ServerEvent.Kind kind) {
    return switch (kind) {
      case DRIFT, ADAPTER_ROLLED_BACK, TROUBLE -> Level.WARN;
      default -> Level.INFO;
    };
  }

  private void configure(JavalinConfig config) {
    config.startup.showJavalinBanner = false;
    config.jetty.host = settings.host();
    config.jetty.port = settings.port();
    config.jetty.modifyHttpConfiguration(this::limits);
    config.jetty.modifyServer(
        server -> {
          server.setStopTimeout(settings.drain().toMillis());
          server.setErrorHandler(new BadRequests());
        });
    if (settings.keystore() != null) {
      config.jetty.addConnector(this::tls);
    }
    config.http.asyncTimeout = 2 * settings.requestTimeout().toMillis();
    config.http.maxRequestSize = settings.maxRequestBytes();
    config.requestLogger.http(RequestLog::end);
    routes(config);
  }

  private void limits(HttpConfiguration http) {
    http.setSendServerVersion(false);
    http.setIdleTimeout(settings.readTimeout().toMillis());
    // A body that trickles in holds a thread: below this rate the connection is cut.
    http.setMinRequestDataRate(256);
  }

  private ServerConnector tls(Server server, HttpConfiguration http) {
    SslContextFactory.Server ssl = new SslContextFactory.Server();
    ssl.setKeyStorePath(String.valueOf(settings.keystore()));
    ssl.setKeyStoreType("PKCS12");
    ssl.setKeyStorePassword(settings.keystorePassword());
    SecureRequestCustomizer secure = new SecureRequestCustomizer();
    secure.setSniHostCheck(false);
    http.addCustomizer(secure);
    ServerConnector connector =
        new ServerConnector(
            server, new SslConnectionFactory(ssl, "http/1.1"), new HttpConnectionFactory(http));
    connector.setHost(settings.host());
    connector.setPort(settings.port());
    return connector;
  }

  private void routes(JavalinConfig config) {
    var routes = config.routes;
    routes.before(this::before);
    routes.after(this::after);
    routes.get("/v2", this::server);
    routes.get("/v2/health/live", ctx -> json(ctx, Map.of("live", true)));
    routes.get("/v2/health/ready", ctx -> ready(ctx, ready()));
    for (String model : List.of("/v2/models/{model}", "/v2/models/{model}/versions/{version}")) {
      routes.get(model, ctx -> json(ctx, Inference.metadata(asked(ctx), settings)));
      routes.get(model + "/ready", ctx -> ready(ctx, !stopping && asked(ctx).alive()));
      routes.post(model + "/infer", this::infer);
    }
    routes.post("/v2/repository/index", ctx -> result(ctx, 200, Json.compact(index())));
    routes.post("/v2/repository/models/{model}/load", this::reload);
    routes.post("/v2/repository/models/{model}/rollback", this::rollBack);
    routes.get(
        "/metrics",
        ctx ->
            ctx.contentType("text/plain; version=0.0.4; charset=utf-8").result(metrics.scrape()));
    routes.get("/v2/status", ctx -> json(ctx, status()));
    parts.forEach(part -> part.routes(routes));
    routes.exception(Refusal.class, (e, ctx) -> refuse(ctx, e));
    routes.exception(OutriggerException.class, (e, ctx) -> error(ctx, 400, e.firstLine()));
    routes.exception(
        HttpResponseException.class, (e, ctx) -> error(ctx, e.getStatus(), e.getMessage()));
    routes.exception(
        Exception.class,
        (e, ctx) -> {
          LOG.error("A request to {} failed", ctx.path(), e);
          error(ctx, 500, "The server failed; its log says why.");
        });
    routes.error(
        404,
        ctx -> {
          if (ctx.attribute(SAID) == null) {
            error(ctx, 404, "There is nothing at this path; GET /v2 says what this server is.");
          }
        });
  }

  private void before(Context ctx) {
    ctx.attribute("start", System.nanoTime());
    ctx.header("X-Content-Type-Options", "nosniff");
    ctx.header("X-Frame-Options", "DENY");
    ctx.header("Referrer-Policy", "no-referrer");
    ctx.header("Cache-Control", "no-store");
    ctx.header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    RequestLog.begin(ctx);
    refuseForeignPages(ctx);
    if (parts.stream().anyMatch(part -> part.open(ctx.path()))) {
      return;
    }
    if (tokens != null && !ctx.path().startsWith("/v2/health/")) {
      Tokens.Role role = tokens.role(ctx.header("Authorization"));
      if (role == null) {
        ctx.header("WWW-Authenticate", "Bearer");
        throw new Refusal(401, "A token is needed: send Authorization: Bearer TOKEN.");
      }
      if (ctx.path().startsWith("/v2/repository/models/") && role != Tokens.Role.ADMIN) {
        throw new Refusal(403, "This needs a token of the role admin.");
      }
      ctx.attribute(ROLE, role);
    }
  }

  /** A page of another site must not change anything through the browser of whoever reads it. */
  private static void refuseForeignPages(Context ctx) {
    String origin = ctx.header("Origin");
    if (origin == null || ctx.method() == HandlerType.GET || ctx.method() == HandlerType.HEAD) {
      return;
    }
    String host = ctx.header("Host");
    if (host == null || !origin.replaceFirst("^https?://", "").equalsIgnoreCase(host)) {
      throw new Refusal(403, "Pages of other sites may not ask this server.");
    }
  }

  private void after(Context ctx) {
    RequestBody.finish(ctx, ctx.statusCode() != 401 && ctx.statusCode() != 403);
    if (stopping) {
      // A connection that stays open would hold up the stop until it has been idle for long.
      ctx.header("Connection", "close");
    }
    Long start = ctx.attribute("start");
    if (start != null) {
      String route = ctx.path().endsWith("/infer") ? "infer" : "other";
      long nanos = System.nanoTime() - start;
      metrics.answered(route, ctx.statusCode(), nanos);
      String[] words = ctx.path().split("/", 6);
      if (route.equals("infer") && words.length > 4 && ctx.path().startsWith("/v2/models/")) {
        tell(new AnsweredRequest(Instant.now(), words[3], ctx.statusCode(), nanos));
      }
    }
  }

  private void server(Context ctx) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("name", "outrigger");
    json.put("version", Bundle.version());
    json.put("extensions", List.of("binary_tensor_data", "model_repository"));
    json(ctx, json);
  }

  private boolean ready() {
    List<String> names = guards.names();
    return !stopping
        && !names.isEmpty()
        && names.stream().allMatch(name -> guards.get(name, null).alive());
  }

  private static void ready(Context ctx, boolean ready) {
    result(ctx, ready ? 200 : 503, Json.compact(Map.of("ready", ready)));
  }

  private List<Map<String, Object>> index() {
    return guards.names().stream()
        .map(
            name -> {
              ServedGuard guard = guards.get(name, null);
              Map<String, Object> entry = new LinkedHashMap<>();
              entry.put("name", name);
              entry.put("version", guard.version());
              entry.put("state", guard.alive() ? "READY" : "UNAVAILABLE");
              entry.put("reason", guard.alive() ? "" : "Its thread ended.");
              return entry;
            })
        .toList();
  }

  /** How the server and its parts are; parts that have a problem say so. */
  private Map<String, Object> status() {
    Map<String, Object> states = new LinkedHashMap<>();
    boolean well = ready();
    Map<String, Object> problems = new LinkedHashMap<>();
    for (String name : guards.names()) {
      if (!guards.get(name, null).alive()) {
        problems.put(
            "guard " + name,
            "Its thread ended, so it answers nobody; the server's log says why. Load it again.");
      }
    }
    for (ServerPart part : parts) {
      String problem = part.problem();
      well &= problem == null;
      if (problem != null) {
        problems.put(part.name(), problem);
      }
    }
    for (String name : guards.names()) {
      Map<String, Object> state = new LinkedHashMap<>(guards.status(name));
      parts.forEach(part -> state.put(part.name(), part.status(name)));
      states.put(name, state);
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("well", well);
    json.put("problems", problems);
    json.put("guards", states);
    return json;
  }

  private ServedGuard asked(Context ctx) {
    return guards.get(ctx.pathParam("model"), ctx.pathParamMap().get("version"));
  }

  /** Reads the bundle again that serves under a name; a client cannot name another path. */
  private void reload(Context ctx) {
    String name = ctx.pathParam("model");
    guards.get(name, null);
    json(ctx, Map.of("name", name, "version", guards.reload(name)));
  }

  private void rollBack(Context ctx) {
    String name = ctx.pathParam("model");
    json(ctx, Map.of("name", name, "version", guards.rollBack(name)));
  }

  private void infer(Context ctx) {
    if (stopping) {
      throw new Refusal(503, "The server stops.");
    }
    ServedGuard guard = asked(ctx);
    BodyBudget.Lease room = bodies.lease();
    boolean queued = false;
    try {
      answer(ctx, guard, room);
      queued = true;
    } finally {
      if (!queued) {
        room.close();
      }
    }
  }

  private void answer(Context ctx, ServedGuard guard, BodyBudget.Lease room) {
    byte[] body = RequestBody.read(ctx, settings.maxRequestBytes(), room);
    InferRequest request = InferRequest.read(body, jsonLength(ctx));
    Inference.checkOutputs(request, guard.guard().info());
    InputTensor input = Inference.input(request, guard.guard().info(), settings.maxRows());
    Trace trace = RequestLog.of(ctx, request.id(), input.shape()[0]);
    CompletableFuture<ServedGuard.Result> result =
        guards.submit(guard, Inference.rows(request, input, trace));
    result.whenComplete((judged, failure) -> room.close());
    ctx.future(
        () ->
            result
                .orTimeout(settings.requestTimeout().toMillis(), TimeUnit.MILLISECONDS)
                .handleAsync(
                    (judged, failure) -> {
                      if (failure == null) {
                        send(ctx, Inference.answer(guard, request, judged).write());
                      } else {
                        RequestLog.within(ctx, () -> refuse(ctx, refusal(failure)));
                      }
                      return null;
                    },
                    writers));
  }

  private static Thread writer(Runnable work) {
    Thread thread = new Thread(work, "answers");
    thread.setDaemon(true);
    return thread;
  }

  private static Refusal refusal(Throwable failure) {
    Throwable cause =
        failure instanceof CompletionException && failure.getCause() != null
            ? failure.getCause()
            : failure;
    if (cause instanceof Refusal refusal) {
      return refusal;
    }
    if (cause instanceof TimeoutException) {
      return new Refusal(503, "The answer took too long: try again with fewer rows, or later.");
    }
    LOG.error("A request failed", cause);
    return new Refusal(500, "The server failed; its log says why.");
  }

  private static int jsonLength(Context ctx) {
    String length = ctx.header(HEAD_LENGTH);
    if (length == null) {
      return -1;
    }
    if (!length.matches("[0-9]{1,9}")) {
      throw Refusal.bad("The header " + HEAD_LENGTH + " is no number of bytes.");
    }
    return Integer.parseInt(length);
  }

  private static void send(Context ctx, InferResponse.Body body) {
    if (body.jsonLength() >= 0) {
      ctx.contentType(BINARY).header(HEAD_LENGTH, Integer.toString(body.jsonLength()));
    } else {
      ctx.contentType(JSON);
    }
    ctx.result(body.body());
  }

  private void refuse(Context ctx, Refusal refusal) {
    ctx.attribute(SAID, true);
    if (refusal.status() == 429 || refusal.status() == 503) {
      ctx.header("Retry-After", "1");
    }
    error(ctx, refusal.status(), String.valueOf(refusal.getMessage()));
  }

  private static void error(Context ctx, int status, @Nullable String message) {
    result(ctx, status, Json.compact(Map.of("error", String.valueOf(message))));
  }

  private static void json(Context ctx, Map<String, Object> value) {
    result(ctx, 200, Json.compact(value));
  }

  private static void result(Context ctx, int status, String json) {
    ctx.status(status).contentType(JSON).result(json);
  }

  /** Takes no more requests, answers what was accepted, and closes the guards. */
  @Override
  public void close() {
    stopping = true;
    parts.forEach(GuardServer::stopQuietly);
    guards.close();
    try {
      javalin.stop();
    } catch (RuntimeException e) {
      LOG.warn("Connections were still open after {} and were cut", settings.drain(), e);
    }
    writers.shutdown();
    parts.forEach(GuardServer::closeQuietly);
    metrics.close();
  }

  private static void stopQuietly(ServerPart part) {
    try {
      part.stopping();
    } catch (RuntimeException e) {
      LOG.error("The part {} failed to stop", part.name(), e);
    }
  }

  private static void closeQuietly(ServerPart part) {
    try {
      part.close();
    } catch (RuntimeException e) {
      LOG.error("The part {} failed to close", part.name(), e);
    }
  }
}
