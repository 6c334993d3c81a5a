package org.outrigger.serve.store;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.ServerEvent;

/** A writer on a queue, without a server. */
final class Running implements AutoCloseable {
  final WriteQueue queue;
  final EventWriter writer;
  final StoreQueries queries;
  final List<LabelledRow> labelled = java.util.Collections.synchronizedList(new ArrayList<>());
  private final Database database;

  Running(StoreSettings settings, Database database, Duration closeWithin) throws Exception {
    this.database = database;
    Migrations.apply(database, Migrations.steps(database.dialect()));
    queue = new WriteQueue(settings);
    queries = new StoreQueries(database);
    writer = new EventWriter(database, settings, queue, closeWithin, labelled::addAll);
    writer.start();
  }

  static Running on(StoreSettings settings) throws Exception {
    return new Running(settings, Database.of(settings), Duration.ofSeconds(20));
  }

  LabelResult label(String guard, PostedLabel... labels) throws Exception {
    return queue.offer(guard, List.of(labels)).get(30, TimeUnit.SECONDS);
  }

  List<StoredRow> rows(String guard) throws Exception {
    return queries.rows(new EventQuery(guard, null, null, null, 100_000, null));
  }

  List<ServerEvent> history() throws Exception {
    return queries.history(EventQuery.newest(1000)).stream()
        .map(StoreQueries.Happened::event)
        .toList();
  }

  static void until(BooleanSupplier done) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (!done.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("It did not happen within a minute");
      }
      Thread.sleep(5);
    }
  }

  @Override
  public void close() {
    writer.close();
    database.close();
  }
}
