package org.outrigger.serve.store;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** Where events are kept. What differs between databases is here; all other SQL fits both. */
abstract class Database implements AutoCloseable {
  /** A row of a table; its values are String, Integer, Long, Double, Boolean, Instant, byte[]. */
  @SuppressWarnings("ArrayRecordComponent")
  record Row(@Nullable Object... values) {}

  static Database of(StoreSettings settings) {
    return settings.postgres() ? new PostgresDatabase(settings) : new DuckDbDatabase(settings);
  }

  /** A connection for one task; whoever asks closes it. */
  abstract Connection connect() throws SQLException;

  /** Adds rows to a table, within the transaction of the connection. */
  abstract void append(Connection connection, String table, List<Row> rows) throws SQLException;

  /** Keeps other servers from changing the schema until the transaction ends. */
  abstract void lockSchema(Connection connection) throws SQLException;

  /** The name of migrations that only this kind of database needs; {@code ""} for none. */
  abstract String dialect();

  /** Where it is, without a password. */
  abstract String shown();

  /** What to do about a failure to open it. */
  abstract OutriggerException cannotOpen(SQLException e);

  /** Lets go of what a failure may have spoiled; the next connection is a fresh one. */
  abstract void reset();

  @Override
  public abstract void close();

  /** A URL without its password. */
  static String shown(String url) {
    return url.replaceAll("(?i)([?&](?:password|sslpassword)=)[^&]*", "$1***")
        .replaceAll("//[^/@]*@", "//***@");
  }

  static void bind(PreparedStatement statement, @Nullable Object... values) throws SQLException {
    for (int i = 0; i < values.length; i++) {
      Object value = values[i];
      if (value instanceof Instant at) {
        statement.setObject(i + 1, utc(at));
      } else if (value instanceof byte[] bytes) {
        statement.setBytes(i + 1, bytes);
      } else if (value == null) {
        statement.setNull(i + 1, Types.NULL);
      } else {
        statement.setObject(i + 1, value);
      }
    }
  }

  static LocalDateTime utc(Instant at) {
    return LocalDateTime.ofInstant(at, ZoneOffset.UTC);
  }

  static Instant instant(LocalDateTime utc) {
    return utc.toInstant(ZoneOffset.UTC);
  }
}
