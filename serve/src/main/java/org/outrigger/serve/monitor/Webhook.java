package org.outrigger.serve.monitor;

import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.InvalidKeyException;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Posts alerts to one receiver, in order, on a thread of its own. Who sends only puts the alert
 * into a queue, so a slow receiver holds nobody up. A try that meets a fault of the network, a
 * status of 500 or more, or 429 is repeated after a growing pause; any other status but 2xx is
 * final, and redirects are not followed.
 *
 * <p>With a secret each alert carries {@code X-Outrigger-Timestamp}, seconds since 1970, and {@code
 * X-Outrigger-Signature}, {@code v1=} and the hexadecimal HMAC-SHA256 of {@code TIMESTAMP.BODY}.
 */
final class Webhook implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Webhook.class);
  private static final Duration LONGEST_PAUSE = Duration.ofMinutes(1);

  /**
   * One alert.
   *
   * @param id the same over all tries, so that a receiver can tell repeats
   * @param body JSON
   * @param headers that pass its trace on
   */
  record Alert(String id, String body, Map<String, String> headers) {}

  /** What became of an alert. */
  enum Outcome {
    DELIVERED,
    FAILED,
    DROPPED
  }

  /** Counts outcomes. */
  interface Watch {
    void ended(Outcome outcome);
  }

  private record Answer(boolean delivered, boolean again, String what) {}

  private final WebhookSettings settings;
  private final Watch watch;
  private final HttpClient client;
  private final BlockingQueue<Alert> waiting;
  private final CountDownLatch stop = new CountDownLatch(1);
  private final Thread worker;
  private volatile long stopBy;
  private volatile @Nullable String problem;

  Webhook(WebhookSettings settings, Watch watch) {
    this.settings = settings;
    this.watch = watch;
    waiting = new ArrayBlockingQueue<>(settings.queue());
    client =
        HttpClient.newBuilder()
            .connectTimeout(settings.timeout())
            .followRedirects(HttpClient.Redirect.NEVER)
            .version(HttpClient.Version.HTTP_1_1)
            .build();
    worker = new Thread(this::work, "alerts to " + settings.url().getHost());
    worker.setDaemon(true);
    worker.start();
  }

  /** Queues an alert and returns at once; one that finds the queue full is dropped and counted. */
  void send(Alert alert) {
    if (stop.getCount() == 0 || !waiting.offer(alert)) {
      dropped();
    }
  }

  /** How many alerts wait. */
  int waiting() {
    return waiting.size();
  }

  /** What is wrong: the last alert could not be delivered. Null if it could. */
  @Nullable String problem() {
    return problem;
  }

  /** The receiver, without secrets. */
  String shown() {
    return settings.shown();
  }

  private void dropped() {
    problem = "Alerts to " + shown() + " were dropped, since too many wait.";
    watch.ended(Outcome.DROPPED);
  }

  private void work() {
    try {
      while (true) {
        Alert alert =
            stop.getCount() == 0 ? waiting.poll() : waiting.poll(100, TimeUnit.MILLISECONDS);
        if (alert != null) {
          deliver(alert);
        } else if (stop.getCount() == 0) {
          return;
        }
      }
    } catch (InterruptedException e) {
      // Nobody interrupts this thread but a JVM that ends.
      Thread.currentThread().interrupt();
    }
  }

  private void deliver(Alert alert) throws InterruptedException {
    Answer answer = new Answer(false, true, "the server stopped");
    for (int attempt = 1; attempt <= settings.attempts() && answer.again; attempt++) {
      if (attempt > 1 && stop.await(pause(attempt).toMillis(), TimeUnit.MILLISECONDS)) {
        // Stopping: the last tries follow each other at once.
        Thread.sleep(50);
      }
      if (left().isZero()) {
        break;
      }
      answer = attempt(alert);
    }
    if (answer.delivered) {
      problem = null;
      watch.ended(Outcome.DELIVERED);
      return;
    }
    problem = "Alerts do not reach " + shown() + ": " + answer.what + ".";
    LOG.atWarn()
        .addKeyValue("receiver", shown())
        .addKeyValue("alert", alert.id())
        .log("An alert did not reach " + shown() + ": " + answer.what);
    watch.ended(Outcome.FAILED);
  }

  /** Doubles with each attempt; a random half of it, so that many servers do not come at once. */
  private Duration pause(int attempt) {
    long nanos = settings.backOff().toNanos() << Math.min(attempt - 2, 20);
    nanos = Math.min(nanos < 0 ? Long.MAX_VALUE : nanos, LONGEST_PAUSE.toNanos());
    return Duration.ofNanos((long) (nanos * (0.5 + ThreadLocalRandom.current().nextDouble() / 2)));
  }

  /** How long the next try may take. */
  private Duration left() {
    if (stop.getCount() > 0) {
      return settings.timeout();
    }
    long nanos = Math.min(settings.timeout().toNanos(), stopBy - System.nanoTime());
    return nanos < 1_000_000 ? Duration.ZERO : Duration.ofNanos(nanos);
  }

  private Answer attempt(Alert alert) throws InterruptedException {
    Duration longest = left();
    HttpRequest.Builder request =
        HttpRequest.newBuilder(settings.url())
            .timeout(longest)
            .header("Content-Type", "application/json")
            .header("User-Agent", "outrigger")
            .header("X-Outrigger-Alert", alert.id())
            .POST(HttpRequest.BodyPublishers.ofString(alert.body()));
    alert.headers().forEach(request::header);
    if (settings.secret() != null) {
      String timestamp = Long.toString(Instant.now().getEpochSecond());
      request
          .header("X-Outrigger-Timestamp", timestamp)
          .header(
              "X-Outrigger-Signature", "v1=" + sign(settings.secret(), timestamp, alert.body()));
    }
    // The time-out of the request ends with the answer's head; this one holds for its body too.
    CompletableFuture<HttpResponse<Void>> answered =
        client.sendAsync(request.build(), HttpResponse.BodyHandlers.discarding());
    try {
      int status = answered.get(longest.toNanos(), TimeUnit.NANOSECONDS).statusCode();
      boolean delivered = status >= 200 && status < 300;
      return new Answer(
          delivered, status >= 500 || status == 429, "it answered with status " + status);
    } catch (TimeoutException e) {
      answered.cancel(true);
      return new Answer(false, true, "it did not answer within " + longest.toMillis() + " ms");
    } catch (ExecutionException e) {
      // Messages of the client may hold the URL, so only the kind of fault is kept.
      Throwable cause = e.getCause() == null ? e : e.getCause();
      return new Answer(
          false, cause instanceof IOException, cause.getClass().getSimpleName() + " on the way");
    }
  }

  /** The hexadecimal HMAC-SHA256 of {@code TIMESTAMP.BODY}. */
  static String sign(String secret, String timestamp, String body) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
      return HexFormat.of()
          .formatHex(mac.doFinal((timestamp + "." + body).getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException | InvalidKeyException e) {
      throw new OutriggerException("This Java cannot sign alerts: it lacks HMAC-SHA256.", e);
    }
  }

  /** Tries what waits once more or twice, within the time to drain. */
  @Override
  public void close() {
    stopBy = System.nanoTime() + settings.drain().toNanos();
    stop.countDown();
    try {
      worker.join(settings.drain().toMillis() + 500);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    int left = waiting.size();
    if (left > 0) {
      LOG.warn("{} alerts to {} were not delivered before the stop", left, shown());
    }
  }
}
