package org.outrigger.serve.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.ServerEvent;

/** What holds on every database. */
abstract class StoreContract {
  private static final Instant NOW = Instant.now().truncatedTo(ChronoUnit.MICROS);

  /** A new, empty store. */
  abstract StoreSettings fresh() throws Exception;

  private StoreSettings quick() throws Exception {
    return fresh().withFlush(Duration.ofMillis(20), 5_000);
  }

  private static long one(StoreSettings settings, String sql) throws Exception {
    try (Database database = Database.of(settings);
        Connection connection = database.connect();
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getLong(1);
    }
  }

  private static void change(StoreSettings settings, String sql) throws Exception {
    try (Database database = Database.of(settings);
        Connection connection = database.connect();
        Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  @Test
  void rowsComeBackAsTheyWereAfterAClose() throws Exception {
    StoreSettings slow = fresh().withFlush(Duration.ofMinutes(10), 5_000);
    JudgedBatch.Request request =
        Batches.request("r '1", Batches.verdict(3, 0.75, false), Batches.verdict(4, 0.5, true));
    try (Running store = Running.on(slow)) {
      store.queue.offer(Batches.batch("digits", NOW, request));
      store.queue.offer(
          new ServerEvent(
              NOW, ServerEvent.Kind.DRIFT, "digits", "1", "It's\0 drift.", Map.of("p", 0.01)));
      assertThat(store.writer.written()).isZero();
    }
    try (Running store = Running.on(slow)) {
      assertThat(store.rows("digits"))
          .extracting(StoredRow::id, StoredRow::row, StoredRow::predicted, StoredRow::unknown)
          .containsExactlyInAnyOrder(
              org.assertj.core.groups.Tuple.tuple("r '1", 0, 3, false),
              org.assertj.core.groups.Tuple.tuple("r '1", 1, 4, true));
      assertThat(store.rows("digits"))
          .allSatisfy(
              row -> {
                assertThat(row.at()).isEqualTo(NOW);
                assertThat(row.stream()).isEqualTo("door");
                assertThat(row.className()).isEqualTo("class " + row.predicted());
                assertThat(row.label()).isNull();
                assertThat(row.nanos()).isEqualTo(1_000_000);
              });
      assertThat(store.rows("other")).isEmpty();
      ServerEvent event = store.history().get(0);
      assertThat(event.message()).isEqualTo("It's\uFFFD drift.");
      assertThat(event.details()).isEqualTo(Map.of("p", 0.01));
      assertThat(event.at()).isEqualTo(NOW);
    }
    assertThat(one(slow, "SELECT count(*) FROM inputs")).isZero();
  }

  @Test
  void inputsAreKeptWhereTheOperatorSaysSo() throws Exception {
    StoreSettings settings = quick().withInputs(true);
    try (Running store = Running.on(settings)) {
      store.queue.offer(Batches.rows("digits", "r1", 2));
    }
    try (Database database = Database.of(settings);
        Connection connection = database.connect();
        Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT i.row_values FROM inputs i JOIN events e ON e.seq = i.seq"
                    + " ORDER BY e.row_no")) {
      for (float first : new float[] {0.5f, 2.5f}) {
        assertThat(rows.next()).isTrue();
        ByteBuffer bytes = ByteBuffer.wrap(rows.getBytes(1)).order(ByteOrder.LITTLE_ENDIAN);
        assertThat(bytes.getFloat()).isEqualTo(first);
        assertThat(bytes.getFloat()).isEqualTo(first + 1);
        assertThat(bytes.hasRemaining()).isFalse();
      }
      assertThat(rows.next()).isFalse();
    }
  }

  @Test
  void labelsFindTheirRowsAlsoThoseNotYetFlushedAndThoseNotYetThere() throws Exception {
    try (Running store = Running.on(fresh().withFlush(Duration.ofMinutes(10), 5_000))) {
      store.queue.offer(Batches.rows("digits", "r1", 3));
      LabelResult result =
          store.label(
              "digits",
              new PostedLabel("r1", 1, 1),
              new PostedLabel("r1", 2, 7),
              new PostedLabel("r2", 0, 5));
      assertThat(result.matched())
          .containsExactlyInAnyOrder(new LabelResult.Name("r1", 1), new LabelResult.Name("r1", 2));
      assertThat(store.labelled).extracting(LabelledRow::row).containsExactly(1, 2);
      assertThat(store.labelled).extracting(LabelledRow::correct).containsExactly(true, false);
      store.queue.offer(Batches.rows("other", "r2", 1));
      store.queue.offer(Batches.rows("digits", "r2", 1));
      // Any label makes what waits go out.
      store.label("digits", new PostedLabel("r1", 0, 0));
      assertThat(store.labelled)
          .extracting(LabelledRow::guard, LabelledRow::id, LabelledRow::label)
          .contains(org.assertj.core.groups.Tuple.tuple("digits", "r2", 5))
          .hasSize(4);
      assertThat(store.rows("digits"))
          .extracting(StoredRow::label)
          .containsExactlyInAnyOrder(0, 1, 7, 5);
      assertThat(store.rows("other")).extracting(StoredRow::label).containsOnlyNulls();
    }
  }

  @Test
  void aLabelThatWaitsIsFoundByAFlushOfItsRow() throws Exception {
    try (Running store = Running.on(quick())) {
      assertThat(store.label("digits", new PostedLabel("late", 0, 0)).matched()).isEmpty();
      store.queue.offer(Batches.rows("digits", "late", 1));
      Running.until(() -> store.labelled.size() == 1);
      assertThat(store.labelled.get(0).correct()).isTrue();
    }
  }

  @Test
  void aLabelThatIsSentAgainReplaces() throws Exception {
    try (Running store = Running.on(quick())) {
      store.queue.offer(Batches.rows("digits", "r1", 1));
      store.label("digits", new PostedLabel("r1", 0, 5));
      assertThat(store.label("digits", new PostedLabel("r1", 0, 0)).matched()).hasSize(1);
      LiveQuality.Counter all = new LiveQuality.Counter();
      store.queries.quality("digits", NOW.minusSeconds(60), all);
      assertThat(all.quality().labelled()).isEqualTo(1);
      assertThat(all.quality().accuracy()).isEqualTo(1);
      assertThat(store.labelled).extracting(LabelledRow::label).containsExactly(5, 0);
    }
  }

  @Test
  void qualityIsByVersionAndLeavesOutWhatIsOldOrOnlyWatched() throws Exception {
    try (Running store = Running.on(quick())) {
      JudgedBatch.Request two =
          Batches.request("a", Batches.verdict(1, 0.9, false), Batches.verdict(2, 0.6, true));
      store.queue.offer(Batches.batch("digits", NOW, two));
      store.queue.offer(
          new JudgedBatch(
              "digits",
              "2",
              true,
              NOW,
              List.of(
                  Batches.request(
                      "a", Batches.verdict(1, 0.8, false), Batches.verdict(3, 0.7, false)))));
      store.queue.offer(
          Batches.batch(
              "digits",
              NOW.minus(Duration.ofHours(30)),
              Batches.request("old", Batches.verdict(0, 0.9, false))));
      store.label(
          "digits",
          new PostedLabel("a", 0, 1),
          new PostedLabel("a", 1, 3),
          new PostedLabel("old", 0, 1));
      LiveQuality.Counter answering = new LiveQuality.Counter();
      var versions = store.queries.quality("digits", NOW.minus(Duration.ofHours(24)), answering);
      LiveQuality quality = answering.quality();
      assertThat(quality.labelled()).isEqualTo(2);
      assertThat(quality.accuracy()).isEqualTo(0.5);
      assertThat(quality.brier()).isCloseTo((0.01 + 0.36) / 2, within(1e-12));
      assertThat(quality.nll()).isCloseTo(-(Math.log(0.9) + Math.log(0.4)) / 2, within(1e-12));
      assertThat(quality.ece()).isCloseTo((0.1 + 0.6) / 2, within(1e-12));
      assertThat(quality.accepted()).isEqualTo(new LiveQuality.Outcomes(1, 0));
      assertThat(quality.unknown()).isEqualTo(new LiveQuality.Outcomes(1, 1));
      assertThat(quality.bins()).hasSize(15);
      assertThat(versions.keySet())
          .containsExactlyInAnyOrder(
              new StoreQueries.Version("1", false), new StoreQueries.Version("2", true));
      assertThat(versions.get(new StoreQueries.Version("2", true)).quality().accuracy())
          .isEqualTo(1);
      // Parts are told of what clients saw.
      assertThat(store.labelled).extracting(LabelledRow::version).containsOnly("1");
    }
  }

  @Test
  void pagesFollowEachOtherWithoutGapOrRepeat() throws Exception {
    try (Running store = Running.on(quick())) {
      for (int i = 0; i < 25; i++) {
        store.queue.offer(
            Batches.batch(
                "digits",
                NOW.plusMillis(i / 10),
                Batches.request("r" + i, Batches.verdict(1, 0.5, false))));
      }
      Running.until(() -> store.writer.written() == 25);
      List<String> seen = new ArrayList<>();
      EventQuery.Page page = null;
      List<StoredRow> rows;
      do {
        rows = store.queries.rows(new EventQuery("digits", null, null, null, 10, page));
        rows.forEach(row -> seen.add(row.id()));
        if (!rows.isEmpty()) {
          StoredRow last = rows.get(rows.size() - 1);
          page = new EventQuery.Page(last.at(), last.seq());
        }
      } while (rows.size() == 10);
      List<String> expected = new ArrayList<>();
      for (int i = 24; i >= 0; i--) {
        expected.add("r" + i);
      }
      assertThat(seen).isEqualTo(expected);
      assertThat(
              store.queries.rows(
                  new EventQuery("digits", null, NOW.plusMillis(1), NOW.plusMillis(2), 100, null)))
          .hasSize(10);
      assertThat(store.queries.count("digits")).isEqualTo(25);
    }
  }

  @Test
  void whatIsTooOldGoesWithItsLabelsAndTheRestStays() throws Exception {
    StoreSettings settings = quick().withInputs(true);
    try (Running store = Running.on(settings)) {
      Instant old = NOW.minus(Duration.ofDays(31));
      store.queue.offer(
          Batches.batch("digits", old, Batches.request("old", Batches.verdict(1, 0.5, false))));
      store.queue.offer(Batches.rows("digits", "new", 2));
      store.queue.offer(
          new ServerEvent(old, ServerEvent.Kind.LOADED, "digits", "1", "Old.", Map.of()));
      store.label("digits", new PostedLabel("old", 0, 1), new PostedLabel("new", 0, 1));
    }
    try (Running store = Running.on(settings.withRetention(Duration.ofDays(30)))) {
      Running.until(
          () -> {
            try {
              return store.history().isEmpty();
            } catch (Exception e) {
              throw new AssertionError(e);
            }
          });
      assertThat(store.rows("digits")).extracting(StoredRow::id).containsOnly("new").hasSize(2);
    }
    assertThat(one(settings, "SELECT count(*) FROM labels")).isEqualTo(1);
    assertThat(one(settings, "SELECT count(*) FROM inputs")).isEqualTo(2);
  }

  @Test
  void aNewerSchemaAndAChangedMigrationAreRefused() throws Exception {
    StoreSettings settings = quick();
    Running.on(settings).close();
    try (Database database = Database.of(settings)) {
      List<Migrations.Step> steps = Migrations.steps(database.dialect());
      Migrations.apply(database, steps);
      List<Migrations.Step> changed =
          List.of(new Migrations.Step(1, "001-events.sql", steps.get(0).sql() + "\n-- changed"));
      assertThatThrownBy(() -> Migrations.apply(database, changed))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("another 001-events.sql");
      List<Migrations.Step> broken = new ArrayList<>(steps);
      broken.add(
          new Migrations.Step(2, "002-b.sql", "CREATE TABLE half (a INTEGER);\nCREATE TABBLE x;"));
      assertThatThrownBy(() -> Migrations.apply(database, broken))
          .isInstanceOf(java.sql.SQLException.class);
      // Nothing of the failed step is left.
      List<Migrations.Step> mended = new ArrayList<>(steps);
      mended.add(new Migrations.Step(2, "002-b.sql", "CREATE TABLE half (a INTEGER);\n"));
      Migrations.apply(database, mended);
      assertThatThrownBy(() -> Migrations.apply(database, steps))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("newer Outrigger");
    }
  }

  @Test
  void tablesOfOthersAreLeftAlone() throws Exception {
    StoreSettings settings = quick();
    change(settings, "CREATE TABLE events (mine INTEGER)");
    assertThatThrownBy(() -> Running.on(settings))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("of its own");
    assertThat(one(settings, "SELECT count(*) FROM events")).isZero();
  }

  @Test
  void manyThreadsLoseNothingAndNoRequestIsSplit() throws Exception {
    StoreSettings settings = quick();
    int threads = 4;
    int each = 300;
    try (Running store = Running.on(settings)) {
      List<Thread> all = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        int who = t;
        Thread thread =
            new Thread(
                () -> {
                  for (int i = 0; i < each; i++) {
                    store.queue.offer(Batches.rows("g" + who, who + "-" + i, 1 + i % 5));
                  }
                });
        all.add(thread);
        thread.start();
      }
      for (Thread thread : all) {
        thread.join();
      }
    }
    assertThat(one(settings, "SELECT count(*) FROM events")).isEqualTo(threads * (each / 5) * 15L);
    assertThat(one(settings, "SELECT count(DISTINCT seq) FROM events"))
        .isEqualTo(threads * (each / 5) * 15L);
    try (StoredEvents read = StoredEvents.open(settings)) {
      List<StoredRow> rows = new ArrayList<>();
      read.rows(EventQuery.newest(Integer.MAX_VALUE), rows::add);
      Map<String, Set<Integer>> byRequest =
          rows.stream()
              .collect(
                  Collectors.groupingBy(
                      StoredRow::id, Collectors.mapping(StoredRow::row, Collectors.toSet())));
      assertThat(byRequest).hasSize(threads * each);
      byRequest.forEach(
          (id, numbers) ->
              assertThat(numbers)
                  .hasSize(1 + Integer.parseInt(id.substring(id.indexOf('-') + 1)) % 5));
    }
  }

  @Test
  void whatIsTooManyIsDroppedByTheRequestAndCounted() throws Exception {
    StoreSettings settings = fresh().withFlush(Duration.ofMinutes(10), 8).withQueue(20, 1 << 20);
    WriteQueue queue = new WriteQueue(settings);
    assertThat(queue.offer(Batches.rows("g", "a", 15))).isZero();
    assertThat(queue.offer(Batches.rows("g", "b", 6))).isEqualTo(6);
    assertThat(queue.offer(Batches.rows("g", "c", 5))).isZero();
    assertThat(queue.dropped()).isEqualTo(6);
    WriteQueue.Work work = queue.take(0);
    assertThat(work.rowCount()).isEqualTo(20);
    // Rows count until they are written.
    assertThat(queue.offer(Batches.rows("g", "d", 1))).isEqualTo(1);
    queue.release(work, false);
    assertThat(queue.offer(Batches.rows("g", "e", 1))).isZero();
  }
}
