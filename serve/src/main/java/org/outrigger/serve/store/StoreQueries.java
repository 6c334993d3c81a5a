package org.outrigger.serve.store;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Json;
import org.outrigger.serve.ServerEvent;

/** Reads what was stored. Each question has a connection of its own, and a limit of time. */
final class StoreQueries {
  private static final int SECONDS = 30;
  private static final int FETCHED_AT_ONCE = 5_000;

  /** Quality of one version of a guard. */
  record Version(String version, boolean shadow) {}

  /** An event of the server, and where it is. */
  record Happened(long seq, ServerEvent event) {}

  private final Database database;

  StoreQueries(Database database) {
    this.database = database;
  }

  /** Reads a row of an answer. */
  private interface Reader {
    void read(ResultSet row) throws SQLException;
  }

  private void ask(String sql, List<Object> values, int seconds, Reader reader)
      throws SQLException {
    try (Connection connection = database.connect()) {
      // Only so does PostgreSQL send long answers in parts.
      connection.setAutoCommit(false);
      try (PreparedStatement query = connection.prepareStatement(sql)) {
        query.setFetchSize(FETCHED_AT_ONCE);
        query.setQueryTimeout(seconds);
        Database.bind(query, values.toArray());
        try (ResultSet rows = query.executeQuery()) {
          while (rows.next()) {
            reader.read(rows);
          }
        }
      } finally {
        connection.rollback();
      }
    }
  }

  /** Conditions of a question, and what they are bound to. */
  private static final class Where {
    private final StringBuilder sql = new StringBuilder(" WHERE 1 = 1");
    private final List<Object> values = new ArrayList<>();

    Where and(String condition, @Nullable Object value) {
      if (value != null) {
        sql.append(" AND ").append(condition);
        values.add(value);
      }
      return this;
    }

    Where before(String columns, EventQuery.@Nullable Page page) {
      if (page != null) {
        sql.append(" AND (").append(columns).append(") < (CAST(? AS TIMESTAMP), ?)");
        values.add(page.at());
        values.add(page.seq());
      }
      return this;
    }
  }

  /** Rows, the newest first. */
  void rows(EventQuery asked, int seconds, Consumer<StoredRow> each) throws SQLException {
    Where where =
        new Where()
            .and("e.guard = ?", asked.guard())
            .and("e.judged_at >= ?", asked.from())
            .and("e.judged_at < ?", asked.to())
            .before("e.judged_at, e.seq", asked.page());
    where.values.add(asked.limit());
    ask(
        "SELECT e.seq, e.guard, e.version, e.shadow, e.request, e.row_no, e.stream, e.judged_at,"
            + " e.label, e.class_name, e.probability, e.score, e.is_unknown, e.detector,"
            + " e.latency_ns, l.label AS truth FROM (SELECT * FROM events e"
            + where.sql
            + " ORDER BY e.judged_at DESC, e.seq DESC LIMIT ?) e LEFT JOIN labels l"
            + " ON l.guard = e.guard AND l.request = e.request AND l.row_no = e.row_no"
            + " ORDER BY e.judged_at DESC, e.seq DESC",
        where.values,
        seconds,
        row -> {
          int truth = row.getInt(16);
          Integer label = row.wasNull() ? null : truth;
          each.accept(
              new StoredRow(
                  row.getLong(1),
                  row.getString(2),
                  row.getString(3),
                  row.getBoolean(4),
                  row.getString(5),
                  row.getInt(6),
                  row.getString(7),
                  instant(row, 8),
                  row.getInt(9),
                  row.getString(10),
                  row.getDouble(11),
                  row.getDouble(12),
                  row.getBoolean(13),
                  row.getString(14),
                  row.getLong(15),
                  label));
        });
  }

  List<StoredRow> rows(EventQuery asked) throws SQLException {
    List<StoredRow> rows = new ArrayList<>();
    rows(asked, SECONDS, rows::add);
    return rows;
  }

  /** What happened to the server, the newest first. */
  List<Happened> history(EventQuery asked) throws SQLException {
    Where where =
        new Where()
            .and("guard = ?", asked.guard())
            .and("kind = ?", asked.kind())
            .and("happened_at >= ?", asked.from())
            .and("happened_at < ?", asked.to())
            .before("happened_at, seq", asked.page());
    where.values.add(asked.limit());
    List<Happened> all = new ArrayList<>();
    ask(
        "SELECT seq, happened_at, kind, guard, version, message, details FROM server_events"
            + where.sql
            + " ORDER BY happened_at DESC, seq DESC LIMIT ?",
        where.values,
        SECONDS,
        row ->
            all.add(
                new Happened(
                    row.getLong(1),
                    new ServerEvent(
                        instant(row, 2),
                        ServerEvent.Kind.valueOf(row.getString(3).toUpperCase(Locale.ROOT)),
                        row.getString(4),
                        row.getString(5),
                        row.getString(6),
                        Json.object("details of an event", row.getString(7))))));
    return all;
  }

  /** How well a guard did since then, by version; those that watched are marked. */
  Map<Version, LiveQuality.Counter> quality(
      String guard, Instant since, LiveQuality.Counter answering) throws SQLException {
    Map<Version, LiveQuality.Counter> versions = new LinkedHashMap<>();
    // A name that was used twice counts once for a version: the latest.
    ask(
        "SELECT DISTINCT ON (e.request, e.row_no, e.version, e.shadow) e.version, e.shadow,"
            + " e.label = l.label, e.probability, e.is_unknown FROM labels l JOIN events e"
            + " ON e.guard = l.guard AND e.request = l.request AND e.row_no = l.row_no"
            + " WHERE l.guard = ? AND e.guard = ? AND l.judged_at >= ? AND e.judged_at >= ?"
            + " ORDER BY e.request, e.row_no, e.version, e.shadow, e.seq DESC",
        List.of(guard, guard, since, since),
        SECONDS,
        row -> {
          Version version = new Version(row.getString(1), row.getBoolean(2));
          boolean correct = row.getBoolean(3);
          double probability = row.getDouble(4);
          boolean unknown = row.getBoolean(5);
          versions
              .computeIfAbsent(version, any -> new LiveQuality.Counter())
              .add(probability, correct, unknown);
          if (!version.shadow) {
            answering.add(probability, correct, unknown);
          }
        });
    return versions;
  }

  /** How many rows of a guard there are. */
  long count(String guard) throws SQLException {
    long[] count = new long[1];
    ask(
        "SELECT count(*) FROM events WHERE guard = ?",
        List.of(guard),
        SECONDS,
        row -> count[0] = row.getLong(1));
    return count[0];
  }

  private static Instant instant(ResultSet row, int column) throws SQLException {
    return Database.instant(row.getObject(column, LocalDateTime.class));
  }
}
