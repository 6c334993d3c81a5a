package org.outrigger.serve.store;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.ServerEvent;

/**
 * What waits to be written. Putting something in never waits: what goes beyond the bounds is
 * dropped, a whole request at a time, and counted. Rows count until they are written, not just
 * until they are taken.
 */
final class WriteQueue {
  private static final int MOST_EVENTS = 10_000;
  private static final int MOST_LABEL_JOBS = 32;
  private static final int MOST_AT_ONCE = 4;

  /** A request's rows. */
  record Judged(JudgedBatch batch, JudgedBatch.Request request) {
    long bytes() {
      return 4L * request.inputs().length;
    }
  }

  /** Labels of one client; completed when they are in the database. */
  record LabelJob(
      String guard, List<PostedLabel> labels, long after, CompletableFuture<LabelResult> result) {}

  /** What is written at once. */
  record Work(List<Judged> rows, List<ServerEvent> events, List<LabelJob> labels) {
    int rowCount() {
      return rows.stream().mapToInt(judged -> judged.request().rows()).sum();
    }

    boolean nothingToWrite() {
      return rows.isEmpty() && events.isEmpty();
    }
  }

  private final StoreSettings settings;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Judged> rows = new ArrayDeque<>();
  private final Deque<ServerEvent> events = new ArrayDeque<>();
  private final Deque<LabelJob> labels = new ArrayDeque<>();
  private int queued;
  private int waiting;
  private long waitingBytes;
  private long accepted;
  private long taken;
  private long dropped;
  private long firstAt;
  private boolean closed;

  WriteQueue(StoreSettings settings) {
    this.settings = settings;
  }

  /** Puts rows in; returns how many were dropped. */
  int offer(JudgedBatch batch) {
    int lost = 0;
    lock.lock();
    try {
      for (JudgedBatch.Request request : batch.requests()) {
        JudgedBatch.Request kept =
            settings.inputs()
                ? request
                : new JudgedBatch.Request(
                    request.id(),
                    request.stream(),
                    new float[0],
                    request.verdicts(),
                    request.nanos());
        Judged judged = new Judged(batch, kept);
        if (closed
            || waiting + kept.rows() > settings.queueRows()
            || waitingBytes + judged.bytes() > settings.queueBytes()) {
          lost += kept.rows();
          continue;
        }
        began();
        rows.add(judged);
        queued += kept.rows();
        waiting += kept.rows();
        waitingBytes += judged.bytes();
        accepted += kept.rows();
      }
      dropped += lost;
      if (queued >= settings.batchRows()) {
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
    return lost;
  }

  /** Puts an event in, unless there are too many. */
  void offer(ServerEvent event) {
    lock.lock();
    try {
      if (!closed && events.size() < MOST_EVENTS) {
        began();
        events.add(event);
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Puts labels in; null if too many clients wait. */
  @Nullable CompletableFuture<LabelResult> offer(String guard, List<PostedLabel> posted) {
    lock.lock();
    try {
      if (closed || labels.size() >= MOST_LABEL_JOBS) {
        return null;
      }
      LabelJob job = new LabelJob(guard, posted, accepted, new CompletableFuture<>());
      labels.add(job);
      changed.signalAll();
      return job.result();
    } finally {
      lock.unlock();
    }
  }

  private void began() {
    if (rows.isEmpty() && events.isEmpty()) {
      firstAt = System.nanoTime();
      changed.signalAll();
    }
  }

  /**
   * Waits for something to write: until a batch is full, the oldest has waited for the interval,
   * labels came, or it was closed.
   *
   * @param idle the longest that it waits when nothing comes, in ns
   * @return empty after that time; null once closed and empty
   */
  @Nullable Work take(long idle) {
    lock.lock();
    try {
      long left = idle;
      while (!closed && labels.isEmpty() && queued < settings.batchRows()) {
        boolean some = !rows.isEmpty() || !events.isEmpty();
        long wait =
            some ? settings.flushInterval().toNanos() - (System.nanoTime() - firstAt) : left;
        if (wait <= 0) {
          break;
        }
        long before = System.nanoTime();
        changed.awaitNanos(wait);
        left -= some ? 0 : System.nanoTime() - before;
      }
      if (closed && rows.isEmpty() && events.isEmpty() && labels.isEmpty()) {
        return null;
      }
      return drain();
    } catch (InterruptedException e) {
      // Nobody interrupts this thread but a JVM that ends.
      closed = true;
      return drain();
    } finally {
      lock.unlock();
    }
  }

  private Work drain() {
    List<Judged> some = new ArrayList<>();
    int count = 0;
    while (!rows.isEmpty() && count < MOST_AT_ONCE * settings.batchRows()) {
      Judged next = rows.remove();
      some.add(next);
      count += next.request().rows();
    }
    queued -= count;
    taken += count;
    // What is left has waited already.
    List<ServerEvent> happened = List.copyOf(events);
    events.clear();
    List<LabelJob> ready = new ArrayList<>();
    while (!labels.isEmpty() && labels.element().after() <= taken) {
      ready.add(labels.remove());
    }
    return new Work(some, happened, ready);
  }

  /** Work is done: its rows count no more. */
  void release(Work work, boolean lost) {
    lock.lock();
    try {
      waiting -= work.rowCount();
      waitingBytes -= work.rows().stream().mapToLong(Judged::bytes).sum();
      dropped += lost ? work.rowCount() : 0;
    } finally {
      lock.unlock();
    }
  }

  /** Takes out labels that cannot be written now, so that their clients are told. */
  List<LabelJob> giveUpLabels() {
    lock.lock();
    try {
      List<LabelJob> all = List.copyOf(labels);
      labels.clear();
      return all;
    } finally {
      lock.unlock();
    }
  }

  /** Waits before another try; a close ends it. */
  void pause(long nanos) {
    lock.lock();
    try {
      long left = nanos;
      while (left > 0 && !closed) {
        left = changed.awaitNanos(left);
      }
      if (closed) {
        TimeUnit.NANOSECONDS.sleep(Math.min(Math.max(left, 0), 100_000_000));
      }
    } catch (InterruptedException e) {
      closed = true;
    } finally {
      lock.unlock();
    }
  }

  /** Rows that are not written yet. */
  int waiting() {
    lock.lock();
    try {
      return waiting;
    } finally {
      lock.unlock();
    }
  }

  /** Rows that were not stored. */
  long dropped() {
    lock.lock();
    try {
      return dropped;
    } finally {
      lock.unlock();
    }
  }

  boolean closed() {
    lock.lock();
    try {
      return closed;
    } finally {
      lock.unlock();
    }
  }

  /** Takes no more; what waits is still given out. */
  void close() {
    lock.lock();
    try {
      closed = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }
}
