package org.outrigger.serve.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;

/** A database that hangs or fails holds nobody up. */
class FaultyDatabaseTest {
  @TempDir private Path folder;

  /** DuckDB, whose writes can be made to hang or fail. */
  private static final class Faulty extends Database {
    private final Database inner;
    private volatile CountDownLatch hold = new CountDownLatch(0);
    private volatile boolean full;

    Faulty(StoreSettings settings) {
      inner = Database.of(settings);
    }

    @Override
    Connection connect() throws SQLException {
      return inner.connect();
    }

    @Override
    void append(Connection connection, String table, List<Row> rows) throws SQLException {
      try {
        hold.await();
      } catch (InterruptedException e) {
        throw new SQLException(e);
      }
      inner.append(connection, table, rows);
      if (full) {
        throw new SQLException("IO Error: No space left on device\nand more");
      }
    }

    @Override
    void lockSchema(Connection connection) throws SQLException {
      inner.lockSchema(connection);
    }

    @Override
    String dialect() {
      return inner.dialect();
    }

    @Override
    String shown() {
      return inner.shown();
    }

    @Override
    OutriggerException cannotOpen(SQLException e) {
      return inner.cannotOpen(e);
    }

    @Override
    void reset() {
      inner.reset();
    }

    @Override
    public void close() {
      inner.close();
    }
  }

  private StoreSettings settings() {
    return StoreSettings.file(folder.resolve("events.duckdb"))
        .withFlush(Duration.ofMillis(10), 50)
        .withQueue(1_000, 1 << 20);
  }

  @Test
  void oneThatHangsHoldsNobodyUpAndWhatIsTooManyIsCounted() throws Exception {
    Faulty database = new Faulty(settings());
    try (Running store = new Running(settings(), database, Duration.ofSeconds(20))) {
      database.hold = new CountDownLatch(1);
      int lost = 0;
      long start = System.nanoTime();
      for (int i = 0; i < 3_000; i++) {
        lost += store.queue.offer(Batches.rows("g", "r" + i, 1));
      }
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
      assertThat(lost).isEqualTo(2_000);
      assertThat(store.queue.dropped()).isEqualTo(2_000);
      assertThat(store.writer.written()).isZero();
      database.hold.countDown();
      Running.until(() -> store.writer.written() == 1_000);
      // The oldest were kept.
      assertThat(store.rows("g")).extracting(StoredRow::id).contains("r0", "r999").hasSize(1_000);
    }
  }

  @Test
  void oneThatIsFullSaysSoKeepsWhatWaitsAndGoesOn() throws Exception {
    Faulty database = new Faulty(settings());
    try (Running store = new Running(settings(), database, Duration.ofSeconds(20))) {
      store.queue.offer(Batches.rows("g", "before", 2));
      Running.until(() -> store.writer.written() == 2);
      assertThat(store.writer.problem()).isNull();
      database.full = true;
      store.queue.offer(Batches.rows("g", "during", 3));
      Running.until(() -> store.writer.problem() != null);
      assertThat(store.writer.problem())
          .contains("No space left on device")
          .doesNotContain("and more");
      assertThat(store.queue.waiting()).isEqualTo(3);
      assertThat(store.rows("g")).hasSize(2);
      var label = store.queue.offer("g", List.of(new PostedLabel("before", 0, 0)));
      assertThatThrownBy(() -> label.get(60, TimeUnit.SECONDS))
          .isInstanceOf(ExecutionException.class)
          .hasMessageContaining("send the labels later");
      database.full = false;
      Running.until(() -> store.writer.written() == 5);
      Running.until(() -> store.writer.problem() == null);
      assertThat(store.rows("g")).hasSize(5);
      assertThat(store.label("g", new PostedLabel("during", 0, 0)).matched()).hasSize(1);
    }
  }

  @Test
  void aCloseDoesNotWaitForEver() throws Exception {
    Faulty hanging = new Faulty(settings());
    Running store = new Running(settings(), hanging, Duration.ofMillis(200));
    hanging.hold = new CountDownLatch(1);
    store.queue.offer(Batches.rows("g", "r", 1));
    long start = System.nanoTime();
    store.writer.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(10));
    hanging.hold.countDown();
    store.close();
  }
}
