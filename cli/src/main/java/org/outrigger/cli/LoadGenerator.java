package org.outrigger.cli;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.outrigger.core.io.Json;

/** Sends one inference request over and over, and notes how long the answers take. */
final class LoadGenerator {
  /**
   * So many requests may be under way when they are sent at a steady pace: more than the server's
   * queue takes, and few enough that their connections take little memory here.
   */
  private static final int MOST_OUTSTANDING = 256;

  /** No answer came. */
  static final int NO_ANSWER = 0;

  private final HttpClient client =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(Duration.ofSeconds(10))
          .build();
  private final HttpRequest request;

  /**
   * @param target where inference is
   * @param values of one request in row-major order
   * @param shape of the input
   */
  LoadGenerator(URI target, float[] values, long... shape) {
    byte[] head =
        Json.compact(
                Map.of(
                    "inputs",
                    List.of(
                        Map.of(
                            "name",
                            "input",
                            "datatype",
                            "FP32",
                            "shape",
                            shape,
                            "parameters",
                            Map.of("binary_data_size", 4L * values.length))),
                    "parameters",
                    Map.of("binary_data_output", true)))
            .getBytes(StandardCharsets.UTF_8);
    ByteBuffer body =
        ByteBuffer.allocate(head.length + 4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    body.put(head);
    body.asFloatBuffer().put(values);
    request =
        HttpRequest.newBuilder(target)
            .timeout(Duration.ofSeconds(60))
            .header("Content-Type", "application/octet-stream")
            .header("Inference-Header-Content-Length", Integer.toString(head.length))
            .POST(HttpRequest.BodyPublishers.ofByteArray(body.array()))
            .build();
  }

  /**
   * What came back.
   *
   * @param seconds it took
   * @param statuses how many answers had which HTTP status; {@link #NO_ANSWER} for a lost
   *     connection
   * @param unsent requests that were not even sent, since too many were under way
   * @param nanos sorted, of the answers with status 200
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Answers(double seconds, Map<Integer, Long> statuses, long unsent, long[] nanos) {
    /** Answers of status 200 a second. */
    double rate() {
      return nanos.length / seconds;
    }

    /** A quantile of the time to the answer, in ms; NaN if there was none. */
    double millis(double quantile) {
      return nanos.length == 0
          ? Double.NaN
          : nanos[(int) Math.min(nanos.length - 1L, (long) (quantile * nanos.length))] / 1e6;
    }

    /** Answers that were neither given nor refused with 429. */
    long failed() {
      return statuses.entrySet().stream()
          .filter(each -> each.getKey() != 200 && each.getKey() != 429)
          .mapToLong(Map.Entry::getValue)
          .sum();
    }
  }

  /** Notes answers from many threads. */
  private static final class Notes {
    private final Map<Integer, LongAdder> statuses = new ConcurrentHashMap<>();
    private final ConcurrentLinkedQueue<Long> nanos = new ConcurrentLinkedQueue<>();
    private final long start = System.nanoTime();

    void note(int status, long since) {
      statuses.computeIfAbsent(status, any -> new LongAdder()).increment();
      if (status == 200) {
        nanos.add(System.nanoTime() - since);
      }
    }

    Answers answers(long unsent) {
      double seconds = (System.nanoTime() - start) / 1e9;
      Map<Integer, Long> counts = new TreeMap<>();
      statuses.forEach((status, count) -> counts.put(status, count.sum()));
      long[] sorted = nanos.stream().mapToLong(Long::longValue).toArray();
      Arrays.sort(sorted);
      return new Answers(seconds, counts, unsent, sorted);
    }
  }

  /** So many clients, each of which sends its next request when its last was answered. */
  Answers saturate(int clients, Duration time) throws InterruptedException {
    Notes notes = new Notes();
    long end = System.nanoTime() + time.toNanos();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < clients; i++) {
      Thread thread =
          new Thread(
              () -> {
                while (System.nanoTime() < end) {
                  long since = System.nanoTime();
                  notes.note(send(), since);
                }
              },
              "load " + i);
      thread.setDaemon(true);
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) {
      thread.join();
    }
    return notes.answers(0);
  }

  private int send() {
    try {
      return client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
    } catch (java.io.IOException e) {
      return NO_ANSWER;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return NO_ANSWER;
    }
  }

  /**
   * Requests at a steady pace, whether answers come or not. An answer's time counts from when its
   * request was due, so that a slow server cannot hide behind a waiting client.
   *
   * @param rate requests a second
   */
  Answers pace(double rate, Duration time) throws InterruptedException {
    Notes notes = new Notes();
    Semaphore free = new Semaphore(MOST_OUTSTANDING);
    long unsent = 0;
    long count = (long) (rate * time.toNanos() / 1e9);
    for (long i = 0; i < count; i++) {
      long due = notes.start + (long) (i * 1e9 / rate);
      long early = due - System.nanoTime();
      if (early > 0) {
        LockSupport.parkNanos(early);
      }
      if (!free.tryAcquire()) {
        unsent++;
        continue;
      }
      client
          .sendAsync(request, HttpResponse.BodyHandlers.discarding())
          .whenComplete(
              (response, failure) -> {
                notes.note(failure == null ? response.statusCode() : NO_ANSWER, due);
                free.release();
              });
    }
    if (!free.tryAcquire(MOST_OUTSTANDING, 90, TimeUnit.SECONDS)) {
      notes.note(NO_ANSWER, notes.start);
    }
    return notes.answers(unsent);
  }
}
