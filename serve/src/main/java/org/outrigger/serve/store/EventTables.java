package org.outrigger.serve.store;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import org.outrigger.core.io.Json;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.LabelledRow;
import org.outrigger.serve.ServerEvent;

/** Writes to the tables, each method within the transaction of the connection. */
final class EventTables {
  /** As in the schema. */
  private static final long BLOCK = 1_000_000;

  private static final String WAITING_ROWS =
      " FROM labels l JOIN events e ON e.guard = l.guard AND e.request = l.request"
          + " AND e.row_no = l.row_no WHERE l.judged_at IS NULL AND NOT e.shadow AND e.seq >= ?";

  private final Database database;
  private long next;
  private long end;

  EventTables(Database database) {
    this.database = database;
  }

  /** The first of n numbers that follow each other; made up outside of any transaction. */
  long reserve(Connection connection, int n) throws SQLException {
    if (n > BLOCK) {
      throw new IllegalArgumentException(n + " rows at once");
    }
    if (end - next < n) {
      try (Statement statement = connection.createStatement();
          ResultSet row = statement.executeQuery("SELECT nextval('event_blocks')")) {
        row.next();
        next = row.getLong(1);
        end = next + BLOCK;
      }
      connection.commit();
    }
    long first = next;
    next += n;
    return first;
  }

  /** Whether rows of that number are there: whether a commit, whose answer got lost, worked. */
  boolean written(Connection connection, WriteQueue.Work work, long first) throws SQLException {
    String table = work.rows().isEmpty() ? "server_events" : "events";
    try (PreparedStatement query =
        connection.prepareStatement("SELECT 1 FROM " + table + " WHERE seq = ?")) {
      query.setLong(1, first);
      try (ResultSet rows = query.executeQuery()) {
        return rows.next();
      }
    }
  }

  /** Adds rows and events, numbered from first: rows, then events. */
  void write(Connection connection, WriteQueue.Work work, long first, boolean inputs)
      throws SQLException {
    List<Database.Row> events = new ArrayList<>();
    List<Database.Row> values = new ArrayList<>();
    long seq = first;
    for (WriteQueue.Judged judged : work.rows()) {
      JudgedBatch batch = judged.batch();
      JudgedBatch.Request request = judged.request();
      int length = request.rows() == 0 ? 0 : request.inputs().length / request.rows();
      for (int row = 0; row < request.rows(); row++) {
        Verdict verdict = request.verdicts().get(row);
        events.add(
            new Database.Row(
                seq,
                batch.guard(),
                batch.version(),
                batch.shadow(),
                request.id(),
                row,
                request.stream(),
                batch.at(),
                verdict.label(),
                text(verdict.className()),
                verdict.probability(),
                verdict.score(),
                verdict.unknown(),
                text(verdict.detector()),
                request.nanos()));
        if (inputs) {
          values.add(
              new Database.Row(seq, batch.at(), bytes(request.inputs(), row * length, length)));
        }
        seq++;
      }
    }
    database.append(connection, "events", events);
    database.append(connection, "inputs", values);
    List<Database.Row> happened = new ArrayList<>();
    for (ServerEvent event : work.events()) {
      happened.add(
          new Database.Row(
              seq++,
              event.at(),
              event.kind().name(),
              event.guard(),
              event.version(),
              text(event.message()),
              text(Json.compact(event.details()))));
    }
    database.append(connection, "server_events", happened);
  }

  /** PostgreSQL keeps no NUL characters. */
  private static String text(String value) {
    return value.replace('\0', '\uFFFD');
  }

  private static byte[] bytes(float[] values, int from, int length) {
    ByteBuffer buffer = ByteBuffer.allocate(4 * length).order(ByteOrder.LITTLE_ENDIAN);
    buffer.asFloatBuffer().put(values, from, length);
    return buffer.array();
  }

  /** Adds labels, or replaces those that were there; they wait for their rows then. */
  void label(Connection connection, String guard, List<PostedLabel> labels, Instant at)
      throws SQLException {
    // Arrays, since DuckDB takes rows of a batch one by one.
    try (PreparedStatement insert =
        connection.prepareStatement(
            "INSERT INTO labels (guard, request, row_no, label, posted_at)"
                + " SELECT ?, u.r, u.n, u.l, CAST(? AS TIMESTAMP) FROM (SELECT"
                + " unnest(CAST(? AS VARCHAR[])) AS r, unnest(CAST(? AS INTEGER[])) AS n,"
                + " unnest(CAST(? AS INTEGER[])) AS l) u"
                + " ON CONFLICT (guard, request, row_no) DO UPDATE SET label = excluded.label,"
                + " posted_at = excluded.posted_at, judged_at = NULL")) {
      insert.setString(1, guard);
      insert.setObject(2, Database.utc(at));
      insert.setArray(
          3,
          connection.createArrayOf("VARCHAR", labels.stream().map(PostedLabel::request).toArray()));
      insert.setArray(
          4, connection.createArrayOf("INTEGER", labels.stream().map(PostedLabel::row).toArray()));
      insert.setArray(
          5,
          connection.createArrayOf("INTEGER", labels.stream().map(PostedLabel::label).toArray()));
      insert.executeUpdate();
    }
  }

  /**
   * Finds the rows of labels that wait: of each name the latest that a client saw.
   *
   * @param from only rows of this number or later
   * @return in the order in which they were judged
   */
  List<LabelledRow> match(Connection connection, long from) throws SQLException {
    List<LabelledRow> found = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet waiting =
            statement.executeQuery("SELECT 1 FROM labels WHERE judged_at IS NULL LIMIT 1")) {
      if (!waiting.next()) {
        return found;
      }
    }
    try (PreparedStatement query =
        connection.prepareStatement(
            "SELECT * FROM (SELECT DISTINCT ON (l.guard, l.request, l.row_no) e.guard, e.version,"
                + " e.request, e.row_no, e.judged_at, e.label AS predicted, l.label, e.probability,"
                + " e.is_unknown, e.seq"
                + WAITING_ROWS
                + " ORDER BY l.guard, l.request, l.row_no, e.seq DESC) m ORDER BY m.seq")) {
      query.setLong(1, from);
      try (ResultSet rows = query.executeQuery()) {
        while (rows.next()) {
          found.add(
              new LabelledRow(
                  rows.getString(1),
                  rows.getString(2),
                  rows.getString(3),
                  rows.getInt(4),
                  Database.instant(rows.getObject(5, LocalDateTime.class)),
                  rows.getInt(6),
                  rows.getInt(7),
                  rows.getDouble(8),
                  rows.getBoolean(9)));
        }
      }
    }
    if (!found.isEmpty()) {
      try (PreparedStatement update =
          connection.prepareStatement(
              "UPDATE labels SET judged_at = m.judged FROM (SELECT e.guard AS g, e.request AS r,"
                  + " e.row_no AS n, max(e.judged_at) AS judged"
                  + WAITING_ROWS
                  + " GROUP BY e.guard, e.request, e.row_no) m WHERE labels.guard = m.g"
                  + " AND labels.request = m.r AND labels.row_no = m.n")) {
        update.setLong(1, from);
        update.executeUpdate();
      }
    }
    return found;
  }

  /**
   * Deletes some of what is older; labels before their rows.
   *
   * @return whether there may be more
   */
  static boolean deleteOlder(Connection connection, Instant than, int most) throws SQLException {
    boolean more = false;
    for (String[] each :
        new String[][] {
          {"labels", "(guard, request, row_no)", "guard, request, row_no", "judged_at"},
          {"inputs", "seq", "seq", "judged_at"},
          {"events", "seq", "seq", "judged_at"},
          {"server_events", "seq", "seq", "happened_at"}
        }) {
      try (PreparedStatement delete =
          connection.prepareStatement(
              "DELETE FROM "
                  + each[0]
                  + " WHERE "
                  + each[1]
                  + " IN (SELECT "
                  + each[2]
                  + " FROM "
                  + each[0]
                  + " WHERE "
                  + each[3]
                  + " < ? ORDER BY "
                  + each[3]
                  + " LIMIT ?)")) {
        delete.setObject(1, Database.utc(than));
        delete.setInt(2, most);
        more |= delete.executeUpdate() >= most;
      }
      connection.commit();
    }
    return more;
  }

  /** Deletes labels whose rows never came. */
  static void deleteWaiting(Connection connection, Instant postedBefore) throws SQLException {
    try (PreparedStatement delete =
        connection.prepareStatement(
            "DELETE FROM labels WHERE judged_at IS NULL AND posted_at < ?")) {
      delete.setObject(1, Database.utc(postedBefore));
      delete.executeUpdate();
    }
    connection.commit();
  }
}
