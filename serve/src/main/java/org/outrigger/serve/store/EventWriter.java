package org.outrigger.serve.store;

import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that writes. While the database fails it tries again, with pauses that grow to
 * half a minute, and everything else goes on.
 */
final class EventWriter {
  private static final Logger LOG = LoggerFactory.getLogger(EventWriter.class);
  private static final long LONGEST_PAUSE = TimeUnit.SECONDS.toNanos(30);
  private static final long SILENT = TimeUnit.SECONDS.toNanos(10);
  private static final Duration LABELS_WAIT = Duration.ofDays(1);
  private static final int DELETED_AT_ONCE = 20_000;

  /** What is wrong. */
  private record Trouble(Instant since, String what) {}

  private final Database database;
  private final StoreSettings settings;
  private final WriteQueue queue;
  private final EventTables tables;
  private final Consumer<List<LabelledRow>> labelled;
  private final Duration closeWithin;
  private final Thread thread = new Thread(this::run, "event store");
  private @Nullable Connection connection;
  private long retainAt = System.nanoTime();
  private boolean matchedAtStart;
  private volatile @Nullable Trouble trouble;
  private volatile @Nullable Instant lastFlush;
  private volatile long written;
  private volatile long busySince;
  private volatile long giveUpAt = Long.MAX_VALUE;

  EventWriter(
      Database database,
      StoreSettings settings,
      WriteQueue queue,
      Duration closeWithin,
      Consumer<List<LabelledRow>> labelled) {
    this.database = database;
    this.settings = settings;
    this.queue = queue;
    this.closeWithin = closeWithin;
    this.labelled = labelled;
    tables = new EventTables(database);
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** When something was last written; null if nothing was. */
  @Nullable Instant lastFlush() {
    return lastFlush;
  }

  /** Rows that are in the database for good, of this run. */
  long written() {
    return written;
  }

  /** What is wrong, or null. */
  @Nullable String problem() {
    Trouble now = trouble;
    if (now != null) {
      return "The database could not be written since " + now.since + ": " + now.what;
    }
    long since = busySince;
    long silent = System.nanoTime() - since;
    if (since != 0 && silent > SILENT) {
      return String.format(
          Locale.ROOT, "The database has not answered for %d s.", silent / 1_000_000_000);
    }
    return null;
  }

  private void run() {
    while (true) {
      WriteQueue.Work work = queue.take(TimeUnit.SECONDS.toNanos(5));
      if (work == null) {
        break;
      }
      boolean done = false;
      long first = -1;
      long pause = TimeUnit.MILLISECONDS.toNanos(250);
      while (!done) {
        busySince = System.nanoTime() | 1;
        try {
          Connection open = open();
          if (!work.nothingToWrite()) {
            if (first < 0) {
              first = tables.reserve(open, work.rowCount() + work.events().size());
              write(open, work, first);
            } else if (!tables.written(open, work, first)) {
              write(open, work, first);
            }
          }
          written += work.rowCount();
          queue.release(work, false);
          done = true;
          lastFlush = work.nothingToWrite() ? lastFlush : Instant.now();
          after(open, work, first);
          if (trouble != null) {
            LOG.info("The event store can be written again");
            trouble = null;
          }
        } catch (SQLException | RuntimeException e) {
          failed(work, e);
          if (!done && hopeless(e)) {
            LOG.error("{} rows cannot be stored and are dropped", work.rowCount(), e);
            queue.release(work, true);
            done = true;
          }
          if (!done && System.nanoTime() > giveUpAt) {
            queue.release(work, true);
            giveUp(work);
            return;
          }
          busySince = 0;
          queue.pause(pause);
          pause = Math.min(2 * pause, LONGEST_PAUSE);
        }
        busySince = 0;
      }
    }
    discard();
  }

  /** A value that the database will never take. */
  private static boolean hopeless(Exception e) {
    return e instanceof SQLException sql && String.valueOf(sql.getSQLState()).startsWith("22");
  }

  private Connection open() throws SQLException {
    if (connection == null) {
      connection = database.connect();
      connection.setAutoCommit(false);
    }
    return connection;
  }

  private void write(Connection open, WriteQueue.Work work, long first) throws SQLException {
    tables.write(open, work, first, settings.inputs());
    open.commit();
  }

  /** What can be done again if it fails: labels, and deleting what is old. */
  private void after(Connection open, WriteQueue.Work work, long first) throws SQLException {
    for (WriteQueue.LabelJob job : work.labels()) {
      tables.label(open, job.guard(), job.labels(), Instant.now());
    }
    boolean all = !matchedAtStart || !work.labels().isEmpty();
    if (all || !work.rows().isEmpty()) {
      List<LabelledRow> found = tables.match(open, all ? 0 : first);
      open.commit();
      matchedAtStart = true;
      answer(work.labels(), found);
      labelled.accept(found);
    }
    if (System.nanoTime() - retainAt >= 0) {
      retain(open);
    }
  }

  private static void answer(List<WriteQueue.LabelJob> jobs, List<LabelledRow> found) {
    for (WriteQueue.LabelJob job : jobs) {
      Set<LabelResult.Name> matched = new HashSet<>();
      for (LabelledRow row : found) {
        if (row.guard().equals(job.guard())) {
          matched.add(new LabelResult.Name(row.id(), row.row()));
        }
      }
      job.result().complete(new LabelResult(matched));
    }
  }

  private void retain(Connection open) throws SQLException {
    Instant now = Instant.now();
    EventTables.deleteWaiting(open, now.minus(LABELS_WAIT));
    Duration age = settings.retention();
    boolean more = age != null && EventTables.deleteOlder(open, now.minus(age), DELETED_AT_ONCE);
    // In small steps, between which rows are written.
    retainAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(more ? 0 : 60_000);
  }

  private void failed(WriteQueue.Work work, Exception e) {
    String said = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    Trouble before = trouble;
    trouble = new Trouble(before == null ? Instant.now() : before.since, said);
    if (before == null || !before.what.equals(said)) {
      LOG.warn("The event store cannot be written; it tries again", e);
    }
    discard();
    database.reset();
    // Labels whose rows came meanwhile are found then.
    matchedAtStart = false;
    List<WriteQueue.LabelJob> waiting = new ArrayList<>(work.labels());
    waiting.addAll(queue.giveUpLabels());
    for (WriteQueue.LabelJob job : waiting) {
      job.result()
          .completeExceptionally(
              new Refusal(503, "The event store cannot be written now: send the labels later."));
    }
  }

  private void discard() {
    Connection old = connection;
    connection = null;
    if (old != null) {
      try (old) {
        old.rollback();
      } catch (SQLException e) {
        LOG.debug("A connection failed to close", e);
      }
    }
  }

  private void giveUp(WriteQueue.Work work) {
    long lost = work.rowCount();
    for (WriteQueue.Work rest = queue.take(0); rest != null; rest = queue.take(0)) {
      lost += rest.rowCount();
      queue.release(rest, true);
    }
    LOG.error("The event store could not be written before the end: {} rows are lost", lost);
    discard();
  }

  /** Writes what waits; gives up after a while if the database cannot. */
  void close() {
    giveUpAt = System.nanoTime() + closeWithin.toNanos();
    queue.close();
    try {
      thread.join(closeWithin.toMillis() + 2_000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (thread.isAlive()) {
      LOG.error(
          "The database does not answer: {} rows of the event store are lost", queue.waiting());
    }
  }
}
