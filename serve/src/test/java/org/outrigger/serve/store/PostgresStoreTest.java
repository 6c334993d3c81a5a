package org.outrigger.serve.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import java.io.IOException;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;

class PostgresStoreTest extends StoreContract {
  private static EmbeddedPostgres postgres;
  private int made;

  @BeforeAll
  static void start() {
    try {
      postgres = EmbeddedPostgres.builder().start();
    } catch (IOException | IllegalStateException e) {
      assumeTrue(false, "PostgreSQL cannot run on this machine: " + e);
    }
  }

  @AfterAll
  static void stop() throws IOException {
    if (postgres != null) {
      postgres.close();
    }
  }

  @Override
  StoreSettings fresh() throws Exception {
    String name = "store_" + System.nanoTime() + "_" + made++;
    try (Connection connection = postgres.getPostgresDatabase().getConnection();
        Statement statement = connection.createStatement()) {
      statement.execute("CREATE DATABASE " + name);
    }
    return StoreSettings.at("jdbc:postgresql://localhost:" + postgres.getPort() + "/" + name)
        .withUser("postgres", "postgres");
  }

  @Test
  void aLockedDatabaseHoldsNobodyUpAndNothingIsLost() throws Exception {
    StoreSettings settings = fresh().withFlush(Duration.ofMillis(10), 100);
    try (Running store = Running.on(settings);
        Database other = Database.of(settings);
        Connection locking = other.connect()) {
      locking.setAutoCommit(false);
      try (Statement statement = locking.createStatement()) {
        statement.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE");
      }
      for (int i = 0; i < 500; i++) {
        long start = System.nanoTime();
        assertThat(store.queue.offer(Batches.rows("g", "r" + i, 2))).isZero();
        assertThat(System.nanoTime() - start).isLessThan(1_000_000_000L);
      }
      assertThat(store.writer.written()).isZero();
      locking.rollback();
      Running.until(() -> store.writer.written() == 1000);
      assertThat(store.queries.count("g")).isEqualTo(1000);
    }
  }

  @Test
  void aLostConnectionIsMade_AgainAndNoRowIsTwice() throws Exception {
    StoreSettings settings = fresh().withFlush(Duration.ofMillis(10), 100);
    try (Running store = Running.on(settings)) {
      for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 40; i++) {
          store.queue.offer(Batches.rows("g", round + "-" + i, 3));
        }
        try (Connection connection = postgres.getPostgresDatabase().getConnection();
            Statement statement = connection.createStatement()) {
          statement.execute(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  + " WHERE application_name = 'outrigger'");
        }
      }
      Running.until(() -> store.writer.written() == 600);
      assertThat(store.queries.count("g")).isEqualTo(600);
      Running.until(() -> store.writer.problem() == null);
    }
  }

  @Test
  void twoServersShareADatabase() throws Exception {
    StoreSettings settings = fresh().withFlush(Duration.ofMillis(10), 100);
    try (Running one = Running.on(settings);
        Running two = Running.on(settings)) {
      for (int i = 0; i < 50; i++) {
        one.queue.offer(Batches.rows("g", "a" + i, 2));
        two.queue.offer(Batches.rows("g", "b" + i, 2));
      }
      Running.until(() -> one.writer.written() + two.writer.written() == 200);
      assertThat(one.rows("g")).extracting(StoredRow::seq).doesNotHaveDuplicates().hasSize(200);
      assertThat(two.label("g", new PostedLabel("a3", 1, 1)).matched()).hasSize(1);
    }
  }

  @Test
  void anAddressWhereNobodyListensSaysWhatToCheck() {
    assertThatThrownBy(
            () ->
                new EventStore(StoreSettings.at("jdbc:postgresql://localhost:1/x?password=secret"))
                    .start(null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("cannot be reached")
        .hasMessageNotContaining("secret");
    assertThatThrownBy(
            () ->
                new EventStore(
                        StoreSettings.at(
                                "jdbc:postgresql://localhost:" + postgres.getPort() + "/nothing")
                            .withUser("postgres", "postgres"))
                    .start(null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("CREATE DATABASE");
  }
}
