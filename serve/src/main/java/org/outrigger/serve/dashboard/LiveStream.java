package org.outrigger.serve.dashboard;

import io.javalin.http.Context;
import io.javalin.http.sse.SseClient;
import io.javalin.http.sse.SseHandler;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.outrigger.serve.protocol.Refusal;

/**
 * Sends news to open pages: at intervals, and soon after something happened. Each page has a thread
 * of its own, of which there are not many, and is sent the newest state only: one that reads slowly
 * misses some, and one that does not read at all is cut off by the server's idle time.
 */
final class LiveStream {
  /** The least time between two messages to one page. */
  private static final long PAUSE = 250;

  private final int most;
  private final long interval;
  private final AtomicInteger open = new AtomicInteger();
  private final Object news = new Object();
  private long happened;
  private boolean stopping;

  LiveStream(int most, Duration interval) {
    this.most = most;
    this.interval = interval.toMillis();
  }

  /** How many pages are open. */
  int open() {
    return open.get();
  }

  /** Lets all pages know at once. */
  void happened() {
    synchronized (news) {
      happened++;
      news.notifyAll();
    }
  }

  /** Ends all streams and takes no more. */
  void stop() {
    synchronized (news) {
      stopping = true;
      news.notifyAll();
    }
  }

  /**
   * Answers with a stream of server-sent events.
   *
   * @param snapshot the newest state, as one line of JSON
   * @throws Refusal 503 if too many pages are open, 406 if no stream was asked for
   */
  void serve(Context ctx, Supplier<String> snapshot) {
    String accept = ctx.header("Accept");
    if (accept == null || !accept.contains("text/event-stream")) {
      throw new Refusal(406, "This is a stream: send Accept: text/event-stream.");
    }
    if (open.incrementAndGet() > most) {
      open.decrementAndGet();
      throw new Refusal(
          503, "As many dashboards are open as the server tells of news: close one, or wait.");
    }
    boolean[] handed = new boolean[1];
    try {
      new SseHandler(
              client -> {
                try {
                  send(client, snapshot);
                } finally {
                  open.decrementAndGet();
                }
              })
          .handle(ctx);
      handed[0] = true;
    } finally {
      if (!handed[0]) {
        open.decrementAndGet();
      }
    }
  }

  private void send(SseClient client, Supplier<String> snapshot) {
    try {
      while (!client.terminated()) {
        long seen;
        synchronized (news) {
          if (stopping) {
            break;
          }
          seen = happened;
        }
        client.sendEvent("snapshot", snapshot.get());
        Thread.sleep(PAUSE);
        await(seen);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    client.close();
  }

  /** Waits for the next interval, an event that was not seen, or the end. */
  private void await(long seen) throws InterruptedException {
    long until = System.nanoTime() + Duration.ofMillis(interval - PAUSE).toNanos();
    synchronized (news) {
      while (!stopping && happened == seen) {
        long left = Duration.ofNanos(until - System.nanoTime()).toMillis();
        if (left <= 0) {
          return;
        }
        news.wait(left);
      }
    }
  }
}
