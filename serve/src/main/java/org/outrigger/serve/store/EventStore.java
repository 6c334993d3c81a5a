package org.outrigger.serve.store;

import io.javalin.config.RoutesConfig;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.ServerContext;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps what guards answered, what the rows really were, and what happened to the server, in a file
 * of DuckDB or a PostgreSQL database. One thread writes in batches, so that inference never waits;
 * a request's rows are in one transaction. A crash loses what came since the last flush, which is
 * at most the flush interval old; a clean stop loses nothing.
 */
public final class EventStore implements ServerPart {
  private static final Logger LOG = LoggerFactory.getLogger(EventStore.class);
  private static final Duration CLOSE_WITHIN = Duration.ofSeconds(10);
  private static final Duration RECENT = Duration.ofMinutes(5);
  private static final Duration QUALITY_OVER = Duration.ofHours(24);
  private static final long FRESH = 5_000_000_000L;

  private final StoreSettings settings;
  private final Database database;
  private final Duration closeWithin;
  private final WriteQueue queue;
  private final StoreQueries queries;
  private final Map<String, Figures> figures = new ConcurrentHashMap<>();
  private final ExecutorService reader =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread thread = new Thread(task, "event store figures");
            thread.setDaemon(true);
            return thread;
          });
  private volatile @Nullable Instant droppedAt;
  private @Nullable EventWriter writer;
  private @Nullable StoreRoutes routes;

  /** What the status shows of a guard, and when it was read; the map is replaced, never changed. */
  private static final class Figures {
    private volatile Map<String, Object> shown = Map.of();
    private volatile long rows;
    private volatile long readAt;
    private volatile boolean reading;
  }

  public EventStore(StoreSettings settings) {
    this(settings, Database.of(settings), CLOSE_WITHIN);
  }

  EventStore(StoreSettings settings, Database database, Duration closeWithin) {
    this.settings = settings;
    this.database = database;
    this.closeWithin = closeWithin;
    queue = new WriteQueue(settings);
    queries = new StoreQueries(database);
  }

  @Override
  public String name() {
    return "store";
  }

  /** Where it is, without a password. */
  public String location() {
    return database.shown();
  }

  /**
   * Opens the database and brings it up to date.
   *
   * @throws OutriggerException if it cannot be reached, is damaged, is in use by another process,
   *     or is of a newer version
   */
  @Override
  public void start(ServerContext server) {
    open();
    MeterRegistry registry = server.registry();
    EventWriter started =
        new EventWriter(database, settings, queue, closeWithin, rows -> tell(server, rows));
    FunctionCounter.builder("outrigger.store.rows", started, EventWriter::written)
        .description("Rows that were stored")
        .register(registry);
    FunctionCounter.builder("outrigger.store.dropped", queue, WriteQueue::dropped)
        .description("Rows that could not be stored")
        .register(registry);
    Gauge.builder("outrigger.store.waiting", queue, WriteQueue::waiting)
        .description("Rows that wait to be stored")
        .register(registry);
    routes = new StoreRoutes(server, queue, queries);
    writer = started;
    started.start();
  }

  private void open() {
    try {
      if (!settings.postgres()) {
        Path folder = Path.of(settings.location()).toAbsolutePath().getParent();
        if (folder != null) {
          Files.createDirectories(folder);
        }
      }
      Migrations.apply(database, Migrations.steps(database.dialect()));
    } catch (IOException e) {
      throw new OutriggerException(
          "The folder of the event store "
              + settings.location()
              + " cannot be made: choose another.\n"
              + e.getMessage(),
          e);
    } catch (SQLException e) {
      throw database.cannotOpen(e);
    }
  }

  private void tell(ServerContext server, List<LabelledRow> rows) {
    Map<String, List<LabelledRow>> byGuard = new LinkedHashMap<>();
    for (LabelledRow row : rows) {
      byGuard.computeIfAbsent(row.guard(), any -> new ArrayList<>()).add(row);
    }
    byGuard.forEach(server.labelled());
  }

  @Override
  public void routes(RoutesConfig config) {
    StoreRoutes.add(
        config,
        () -> {
          if (routes == null) {
            throw new Refusal(503, "The event store does not run yet.");
          }
          return routes;
        });
  }

  @Override
  public void judged(JudgedBatch batch) {
    if (queue.offer(batch) > 0) {
      droppedAt = Instant.now();
    }
  }

  @Override
  public void happened(ServerEvent event) {
    queue.offer(event);
  }

  @Override
  public void labelled(String guard, List<LabelledRow> rows) {
    Figures known = figures.get(guard);
    if (known != null) {
      known.readAt = 0;
    }
  }

  @Override
  public @Nullable String problem() {
    String problem = writer == null ? null : writer.problem();
    Instant dropped = droppedAt;
    if (dropped != null && dropped.isAfter(Instant.now().minus(RECENT))) {
      String rows = queue.dropped() + " rows were not stored, since too many waited.";
      return problem == null ? rows : problem + " " + rows;
    }
    return problem;
  }

  /** Rows that are in the database for good, of this run. */
  public long written() {
    return writer == null ? 0 : writer.written();
  }

  /** Rows that wait to be written. */
  public int waiting() {
    return queue.waiting();
  }

  /** Figures of the last 24 hours; read on a thread of their own, so that nobody waits long. */
  @Override
  public Map<String, Object> status(String guard) {
    Figures known = figures.computeIfAbsent(guard, any -> new Figures());
    if (!known.reading && (known.readAt == 0 || System.nanoTime() - known.readAt > FRESH)) {
      known.reading = true;
      reader.execute(() -> read(guard, known));
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("labelled", 0L);
    json.put("accuracy", null);
    json.put("ece", null);
    json.put("bins", List.of());
    json.putAll(known.shown);
    Instant flushed = writer == null ? null : writer.lastFlush();
    json.put("rows", known.rows);
    json.put("waiting", queue.waiting());
    json.put("lastFlush", flushed == null ? null : flushed.toString());
    json.put("dropped", queue.dropped());
    json.put("url", database.shown());
    return json;
  }

  private void read(String guard, Figures into) {
    long start = System.nanoTime();
    try {
      into.rows = queries.count(guard);
      into.shown = StoreRoutes.quality(queries, guard, Instant.now().minus(QUALITY_OVER));
    } catch (SQLException | RuntimeException e) {
      LOG.debug("The figures of {} cannot be read", guard, e);
    }
    // A large store is asked less often.
    long took = System.nanoTime() - start;
    into.readAt = System.nanoTime() + 10 * took | 1;
    into.reading = false;
  }

  /** Writes what waits. */
  @Override
  public void close() {
    if (writer != null) {
      writer.close();
    }
    reader.shutdownNow();
    database.close();
  }
}
