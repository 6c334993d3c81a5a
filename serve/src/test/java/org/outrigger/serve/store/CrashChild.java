package org.outrigger.serve.store;

import java.time.Duration;

/** Stores at full rate until it is killed, and says what is in the database for good. */
final class CrashChild {
  static final int ROWS = 7;
  static final Duration INTERVAL = Duration.ofMillis(100);

  private CrashChild() {}

  public static void main(String[] args) throws Exception {
    StoreSettings settings =
        StoreSettings.at(args[0])
            .withUser(System.getenv("STORE_USER"), System.getenv("STORE_PASSWORD"))
            .withFlush(INTERVAL, 1_000);
    long requests = Long.parseLong(args[1]);
    try (Running store = Running.on(settings)) {
      System.out.println("flushed 0 offered 0");
      long last = System.nanoTime();
      for (long i = 0; requests == 0 || i < requests; i++) {
        while (store.queue.waiting() > 20_000) {
          Thread.sleep(1);
        }
        store.queue.offer(Batches.rows("g", "r" + i, ROWS));
        if (System.nanoTime() - last > 20_000_000) {
          System.out.println("flushed " + store.writer.written() + " offered " + (i + 1));
          last = System.nanoTime();
        }
      }
    }
    System.out.println("closed");
  }
}
