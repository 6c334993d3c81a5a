package org.outrigger.serve.monitor;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.Trace;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One version of a guard and its monitor, which works on a thread of its own behind a queue. What
 * finds the queue full is skipped and counted.
 */
final class WatchedGuard {
  private static final Logger LOG = LoggerFactory.getLogger(WatchedGuard.class);
  private static final Duration PATIENCE = Duration.ofSeconds(10);
  private static final Duration STOP = Duration.ofSeconds(5);

  /** Rows, or what some really were. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Item(
      @Nullable JudgedBatch batch, boolean @Nullable [] wrong, Instant at, long values) {}

  private final String guard;
  private final String version;
  private final boolean shadow;
  private final Monitor monitor;
  private final WatchSettings settings;
  private final WindowMetrics metrics;
  private final Consumer<ServerEvent> publish;
  private final @Nullable Path file;
  private final String begun;
  private final BlockingQueue<Item> waiting;
  private final AtomicLong values = new AtomicLong();
  private final Timeline timeline = new Timeline();
  private final AlertRule rule;
  private final Thread worker;
  private volatile boolean stopping;
  private volatile boolean keeps = true;
  private volatile @Nullable CountDownLatch asked;
  private volatile long skippingSince;
  private volatile @Nullable String failure;
  private volatile @Nullable String unsaved;
  private volatile Map<String, Object> known = Map.of();
  private boolean changed;
  private long savedAt = System.nanoTime();

  WatchedGuard(
      String guard,
      String version,
      boolean shadow,
      Monitor monitor,
      WatchSettings settings,
      WindowMetrics metrics,
      Consumer<ServerEvent> publish) {
    this.guard = guard;
    this.version = version;
    this.shadow = shadow;
    this.monitor = monitor;
    this.settings = settings;
    this.metrics = metrics;
    this.publish = publish;
    waiting = new ArrayBlockingQueue<>(settings.queueBatches());
    rule = new AlertRule(settings.repeat(), settings.quiet());
    file = settings.folder() == null ? null : WatchFile.of(settings.folder(), guard, shadow);
    begun = restore();
    show();
    worker = new Thread(this::work, "monitor " + guard + " " + version);
    worker.setDaemon(true);
    worker.start();
  }

  String guard() {
    return guard;
  }

  String version() {
    return version;
  }

  boolean shadow() {
    return shadow;
  }

  private String restore() {
    if (file == null || !Files.exists(file)) {
      return "new";
    }
    try {
      if (WatchFile.read(file, monitor, timeline, rule)) {
        return "continued";
      }
      LOG.warn("The monitor of {} starts anew: what was kept belongs to another reference", guard);
      return "new, since what was kept belongs to another reference";
    } catch (OutriggerException e) {
      LOG.warn("The monitor of {} starts anew: {}", guard, e.firstLine());
      return "new, since what was kept is damaged";
    }
  }

  /** Hands a batch over; never waits. */
  void judged(JudgedBatch batch) {
    long size = batch.requests().stream().mapToLong(each -> each.inputs().length).sum();
    if (!offer(new Item(batch, null, batch.at(), size))) {
      metrics.skipped(guard, shadow, batch.rows());
    }
  }

  /** Hands over which rows were judged wrongly; never waits. */
  void labelled(boolean[] wrong) {
    if (!offer(new Item(null, wrong, Instant.now(), wrong.length))) {
      metrics.skipped(guard, shadow, wrong.length);
    }
  }

  private boolean offer(Item item) {
    // One that is larger than the queue itself may go alone.
    boolean fits = values.get() == 0 || values.get() + item.values <= settings.queueValues();
    if (!stopping && fits) {
      values.addAndGet(item.values);
      if (waiting.offer(item)) {
        if (waiting.size() <= settings.queueBatches() / 2) {
          skippingSince = 0;
        }
        return true;
      }
      values.addAndGet(-item.values);
    }
    if (skippingSince == 0) {
      skippingSince = System.nanoTime();
    }
    return false;
  }

  private void work() {
    try {
      while (true) {
        Item item = stopping ? waiting.poll() : waiting.poll(50, TimeUnit.MILLISECONDS);
        if (item != null) {
          values.addAndGet(-item.values);
          take(item);
        } else if (stopping) {
          break;
        }
        CountDownLatch wanted = asked;
        if (wanted != null || System.nanoTime() - savedAt > settings.save().toNanos()) {
          save();
        }
        if (wanted != null) {
          asked = null;
          wanted.countDown();
        }
      }
      save();
    } catch (InterruptedException e) {
      // Nobody interrupts this thread but a JVM that ends.
      Thread.currentThread().interrupt();
    } finally {
      monitor.close();
    }
  }

  private void take(Item item) {
    try {
      List<Monitor.Window> windows =
          item.batch != null
              ? monitor.observe(item.batch)
              : monitor.errors(item.wrong == null ? new boolean[0] : item.wrong, item.at);
      changed = true;
      for (Monitor.Window window : windows) {
        timeline.add(window);
        metrics.window(guard, shadow, window);
        rule.take(window).forEach(decision -> tell(decision, window, item.batch));
      }
      failure = null;
    } catch (RuntimeException e) {
      if (failure == null) {
        LOG.error("The monitor of {} failed on a batch", guard, e);
      }
      failure = "The monitor of " + guard + " fails on batches; the server's log says why.";
      metrics.failed(guard, shadow);
    }
    show();
  }

  private void tell(
      AlertRule.Decision decision, Monitor.Window window, @Nullable JudgedBatch batch) {
    boolean recovered = decision.tell() == AlertRule.Tell.RECOVERED;
    String channel = decision.channel().name();
    String who = guard + " version " + version + (shadow ? " (shadow)" : "") + ": ";
    String message =
        switch (decision.tell()) {
          case DRIFTS -> decision.channel().message();
          case STILL_DRIFTS ->
              decision.channel().message() + " This has been so since " + decision.since() + ".";
          case RECOVERED -> "The " + channel + " look as they should again.";
        };
    Map<String, Object> details = Timeline.channel(decision.channel());
    details.put("since", decision.since().toString());
    details.put("again", decision.tell() == AlertRule.Tell.STILL_DRIFTS);
    details.put("shadow", shadow);
    details.put(
        "window",
        Map.of("number", timeline.windows(), "rows", window.rows(), "at", window.at().toString()));
    details.put("trace", trace(batch));
    if (!recovered) {
      metrics.drift(guard, shadow, channel);
    }
    publish.accept(
        new ServerEvent(
            window.at(),
            recovered ? ServerEvent.Kind.RECOVERED : ServerEvent.Kind.DRIFT,
            guard,
            version,
            who + message,
            details));
  }

  /** The trace of the request that completed a window. */
  private static Map<String, String> trace(@Nullable JudgedBatch batch) {
    Trace trace =
        batch == null || batch.requests().isEmpty()
            ? null
            : batch.requests().get(batch.requests().size() - 1).trace();
    return trace == null ? Map.of() : trace.headers();
  }

  private void show() {
    Map<String, Object> json = new LinkedHashMap<>(timeline.state());
    json.put("monitoring", true);
    json.put("version", version);
    json.put("begun", begun);
    json.put("pendingRows", monitor.pending());
    json.put("active", rule.state());
    known = json;
  }

  private void save() {
    savedAt = System.nanoTime();
    if (file == null || !changed || !keeps) {
      return;
    }
    try {
      WatchFile.write(file, monitor, timeline, rule);
      changed = false;
      unsaved = null;
    } catch (OutriggerException e) {
      if (unsaved == null) {
        LOG.warn("The monitor of {} was not kept: {}", guard, e.firstLine());
      }
      unsaved = "The monitor of " + guard + " cannot be kept: " + e.firstLine();
    }
  }

  /** Keeps what it knows now, so that a successor can go on with it. */
  void keep() {
    CountDownLatch kept = new CountDownLatch(1);
    asked = kept;
    try {
      if (!kept.await(STOP.toMillis(), TimeUnit.MILLISECONDS)) {
        LOG.warn("The monitor of {} is busy: its successor goes on from what was last kept", guard);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** What it knows, as JSON types. */
  Map<String, Object> status() {
    Map<String, Object> json = new LinkedHashMap<>(known);
    json.put("waitingBatches", waiting.size());
    return json;
  }

  /** What is wrong with it; null if nothing is. */
  @Nullable String problem() {
    if (!stopping && !worker.isAlive()) {
      return "The monitor of " + guard + " ended; load the guard again.";
    }
    long since = skippingSince;
    if (since != 0 && System.nanoTime() - since > PATIENCE.toNanos()) {
      return "The monitor of " + guard + " cannot keep up and skips batches.";
    }
    return failure == null ? unsaved : failure;
  }

  /** Takes what waits, keeps what it knows, and ends. */
  void close(boolean keep) {
    keeps = keep;
    stopping = true;
    try {
      worker.join(STOP.toMillis());
      if (worker.isAlive()) {
        LOG.warn(
            "The monitor of {} still worked after {} and was left to end by itself", guard, STOP);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
