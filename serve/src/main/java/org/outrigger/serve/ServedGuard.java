package org.outrigger.serve;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.guard.Guard;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.protocol.Refusal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A guard with a queue before it; the model itself answers, also if the bundle holds an adapter,
 * unless {@linkplain #answerStreams streams} are followed. One thread takes what waits, up to a
 * batch, and waits a little for more to come. When too many rows wait, further ones are refused at
 * once (429). What was accepted is answered, also when it is closed.
 */
public final class ServedGuard implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ServedGuard.class);

  /**
   * What one request gets.
   *
   * @param verdicts one a row
   * @param logits [N, C] in row-major order
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Result(List<Verdict> verdicts, float[] logits) {}

  /** Is told of each forward pass: its rows, and how long it took. */
  interface Watch {
    void passed(int rows, long nanos);
  }

  /**
   * What one request asks.
   *
   * @param id of the request
   * @param stream whose rows they are; {@code ""} if the client did not say
   * @param values finite, [rows * values of a row] in row-major order
   * @param rows 1 or more
   * @param trace that the request belongs to
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Rows(String id, String stream, float[] values, int rows, Trace trace) {}

  private record Job(Rows asked, long since, CompletableFuture<Result> result) {
    int rows() {
      return asked.rows();
    }

    float[] values() {
      return asked.values();
    }
  }

  /** What a request came to, for those who listen. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Judged(List<Verdict> verdicts, float @Nullable [] watched) {}

  private final String name;
  private final String version;
  private final Guard guard;
  private final int rowLength;
  private final ServerSettings settings;
  private final TrafficListener listener;
  private final boolean shadow;
  private final Watch watch;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Job> waiting = new ArrayDeque<>();
  private final Thread worker;
  private int waitingRows;
  private boolean closed;
  private volatile boolean watching;
  private volatile @Nullable ServedGuard follower;
  private volatile @Nullable StreamAnswers streams;

  ServedGuard(
      String name,
      String version,
      Guard guard,
      ServerSettings settings,
      boolean shadow,
      TrafficListener listener,
      Watch watch) {
    this.name = name;
    this.version = version;
    this.guard = guard;
    this.settings = settings;
    this.shadow = shadow;
    this.listener = listener;
    this.watch = watch;
    long length = Arrays.stream(guard.info().inputShape()).reduce(1, Math::multiplyExact);
    rowLength = Math.toIntExact(length);
    worker = new Thread(this::work, "guard " + name + " " + version);
    worker.setDaemon(true);
    worker.start();
  }

  /** The served name. */
  public String name() {
    return name;
  }

  /** The version, a number that grows. */
  public String version() {
    return version;
  }

  /** Whether it only watches. */
  public boolean shadow() {
    return shadow;
  }

  /** The guard itself. */
  public Guard guard() {
    return guard;
  }

  /** Values of one row. */
  int rowLength() {
    return rowLength;
  }

  /** Rows that wait. */
  public int waiting() {
    lock.lock();
    try {
      return waitingRows;
    } finally {
      lock.unlock();
    }
  }

  /** A guard that sees what this one sees, and answers nobody; null for none. */
  void follow(@Nullable ServedGuard watcher) {
    follower = watcher;
  }

  /**
   * Lets streams be answered elsewhere; what belongs to none of them is answered by the model
   * itself. For the time between opening and the first request.
   */
  public void answerStreams(StreamAnswers answers) {
    streams = answers;
  }

  /**
   * Queues rows.
   *
   * @return completed with the result, or with a {@link Refusal}; null if this guard was closed
   *     meanwhile, so that its successor has to be asked
   * @throws Refusal 429 if too many rows wait
   */
  @Nullable CompletableFuture<Result> submit(Rows asked) {
    int rows = asked.rows();
    lock.lock();
    try {
      if (closed) {
        return null;
      }
      // A request that is larger than the queue itself may go alone.
      if (waitingRows > 0 && waitingRows + rows > settings.queueRows()) {
        throw new Refusal(429, "Too many rows wait: try again in a moment.");
      }
      Job job = new Job(asked, System.nanoTime(), new CompletableFuture<>());
      waiting.add(job);
      waitingRows += rows;
      changed.signalAll();
      return job.result;
    } finally {
      lock.unlock();
    }
  }

  /** From now on batches also hold what a monitor watches; the guard must have a reference. */
  public void watch() {
    watching = true;
  }

  /** Whether its thread lives, so that it can answer. */
  public boolean alive() {
    return worker.isAlive();
  }

  private void work() {
    try {
      while (true) {
        List<Job> batch = take();
        if (batch.isEmpty()) {
          return;
        }
        long start = System.nanoTime();
        int rows = batch.stream().mapToInt(Job::rows).sum();
        judge(batch);
        watch.passed(rows, System.nanoTime() - start);
      }
    } catch (RuntimeException | Error e) {
      LOG.error("The thread of the guard {} version {} ended", name, version, e);
      throw e;
    } finally {
      // Whoever still waits would wait in vain.
      refuseWaiting();
    }
  }

  /** The next batch; empty once closed and nothing waits. */
  private List<Job> take() {
    List<Job> batch = new ArrayList<>();
    lock.lock();
    try {
      while (batch.isEmpty()) {
        while (waiting.isEmpty()) {
          if (closed) {
            return batch;
          }
          changed.awaitUninterruptibly();
        }
        long left = settings.maxDelay().toNanos();
        while (left > 0 && waitingRows < settings.maxBatch() && !closed) {
          left = changed.awaitNanos(left);
        }
        gather(batch);
      }
    } catch (InterruptedException e) {
      // Nobody interrupts this thread but a JVM that ends.
      closed = true;
    } finally {
      lock.unlock();
    }
    return batch;
  }

  private void gather(List<Job> batch) {
    int rows = 0;
    while (!waiting.isEmpty()) {
      Job next = waiting.element();
      if (!batch.isEmpty() && rows + next.rows() > settings.maxBatch()) {
        return;
      }
      waiting.remove();
      waitingRows -= next.rows();
      // Who gave up is not judged.
      if (!next.result.isDone()) {
        batch.add(next);
        rows += next.rows();
      }
    }
  }

  /** Streams are answered request by request; the others share a forward pass. */
  private void judge(List<Job> batch) {
    Map<Job, Judged> verdicts = new IdentityHashMap<>();
    StreamAnswers answers = streams;
    List<Job> plain = batch;
    List<Job> followed = List.of();
    if (answers != null) {
      followed = batch.stream().filter(job -> answers.follows(job.asked.stream())).toList();
      plain = batch.stream().filter(job -> !answers.follows(job.asked.stream())).toList();
    }
    if (!plain.isEmpty()) {
      judge(plain, null, verdicts);
    }
    followed.forEach(job -> judge(List.of(job), answers, verdicts));
    List<Job> judged = batch.stream().filter(verdicts::containsKey).toList();
    if (!judged.isEmpty()) {
      tell(judged, verdicts);
    }
  }

  private void judge(List<Job> batch, @Nullable StreamAnswers answers, Map<Job, Judged> verdicts) {
    int rows = batch.stream().mapToInt(Job::rows).sum();
    try {
      Guard.Answer answer = answer(batch, rows, answers);
      int classes = answer.logits().length / rows;
      float[] watched = answer.watched();
      int width = watched == null ? 0 : watched.length / rows;
      int from = 0;
      for (Job job : batch) {
        List<Verdict> own = answer.verdicts().subList(from, from + job.rows());
        job.result.complete(
            new Result(
                own,
                Arrays.copyOfRange(
                    answer.logits(), from * classes, (from + job.rows()) * classes)));
        verdicts.put(
            job,
            new Judged(
                own,
                watched == null
                    ? null
                    : Arrays.copyOfRange(watched, from * width, (from + job.rows()) * width)));
        from += job.rows();
      }
    } catch (OutriggerException e) {
      if (batch.size() == 1) {
        batch.get(0).result.completeExceptionally(Refusal.bad(e.firstLine()));
      } else {
        // One of them is at fault: the others shall not suffer.
        batch.forEach(job -> judge(List.of(job), answers, verdicts));
      }
    } catch (RuntimeException | Error e) {
      LOG.atError()
          .addKeyValue("request_ids", batch.stream().map(job -> job.asked.id()).toList())
          .addKeyValue("trace_ids", batch.stream().map(job -> job.asked.trace().traceId()).toList())
          .setCause(e)
          .log("The guard {} version {} failed on {} rows", name, version, rows);
      batch.forEach(
          job ->
              job.result.completeExceptionally(
                  new Refusal(500, "The guard failed; the server's log says why.")));
    }
  }

  private Guard.Answer answer(List<Job> batch, int rows, @Nullable StreamAnswers answers) {
    float[] values = batch.get(0).values();
    if (batch.size() > 1) {
      values = new float[Math.multiplyExact(rows, rowLength)];
      int at = 0;
      for (Job job : batch) {
        System.arraycopy(job.values(), 0, values, at, job.values().length);
        at += job.values().length;
      }
    }
    long[] inner = guard.info().inputShape();
    long[] shape = new long[inner.length + 1];
    shape[0] = rows;
    System.arraycopy(inner, 0, shape, 1, inner.length);
    try (PointerScope scope = new PointerScope()) {
      Tensor inputs = Tensors.of(values, shape);
      return answers == null
          ? guard.modelAnswer(inputs, watching)
          : answers.answer(batch.get(0).asked.stream(), inputs, watching);
    }
  }

  private void tell(List<Job> batch, Map<Job, Judged> judged) {
    List<JudgedBatch.Request> requests = new ArrayList<>(batch.size());
    long now = System.nanoTime();
    for (Job job : batch) {
      Judged own = Objects.requireNonNull(judged.get(job));
      requests.add(
          new JudgedBatch.Request(
              job.asked.id(),
              job.asked.stream(),
              job.values(),
              own.verdicts,
              now - job.since,
              job.asked.trace(),
              own.watched));
    }
    listener.judged(new JudgedBatch(name, version, shadow, Instant.now(), requests));
    ServedGuard watcher = follower;
    if (watcher != null) {
      for (Job job : batch) {
        try {
          watcher.submit(job.asked);
        } catch (Refusal tooMany) {
          // A shadow that cannot keep up misses rows; clients never wait for it.
          return;
        }
      }
    }
  }

  /** Takes no more, answers what waits within the time to drain, and closes the guard. */
  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    try {
      Duration drain = settings.drain();
      worker.join(Math.max(1, drain.toMillis()));
      if (worker.isAlive()) {
        LOG.warn("The guard {} still worked after {} and was left to end by itself", name, drain);
        refuseWaiting();
        return;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      refuseWaiting();
      return;
    }
    StreamAnswers answers = streams;
    if (answers != null) {
      answers.close();
    }
    guard.close();
  }

  private void refuseWaiting() {
    lock.lock();
    try {
      closed = true;
      waiting.forEach(
          job -> job.result.completeExceptionally(new Refusal(503, "The server stops.")));
      waiting.clear();
      waitingRows = 0;
    } finally {
      lock.unlock();
    }
  }
}
