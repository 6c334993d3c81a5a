package org.outrigger.serve.store;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.duckdb.DuckDBAppender;
import org.duckdb.DuckDBConnection;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** A file of DuckDB, in this process. Only one process may have it open. */
final class DuckDbDatabase extends Database {
  private static final Pattern HOLDER = Pattern.compile("PID (\\d+)");

  private final String file;
  private final boolean readOnly;
  private @Nullable DuckDBConnection root;

  DuckDbDatabase(StoreSettings settings) {
    this(settings.location(), false);
  }

  DuckDbDatabase(String file, boolean readOnly) {
    this.file = file;
    this.readOnly = readOnly;
  }

  @Override
  synchronized Connection connect() throws SQLException {
    if (root == null) {
      Properties properties = new Properties();
      // Inference needs the memory and the cores more than the store does.
      properties.setProperty("memory_limit", "128MB");
      properties.setProperty("threads", "2");
      properties.setProperty("autoinstall_known_extensions", "false");
      if (readOnly) {
        properties.setProperty("duckdb.read_only", "true");
      }
      root = (DuckDBConnection) DriverManager.getConnection("jdbc:duckdb:" + file, properties);
    }
    return root.duplicate();
  }

  @Override
  void append(Connection connection, String table, List<Row> rows) throws SQLException {
    if (rows.isEmpty()) {
      return;
    }
    try (Statement begin = connection.createStatement()) {
      // The driver begins a transaction with the first statement; an appender is none, and would
      // write at once.
      begin.execute("SELECT 1");
    }
    try (DuckDBAppender appender =
        connection
            .unwrap(DuckDBConnection.class)
            .createAppender(DuckDBConnection.DEFAULT_SCHEMA, table)) {
      for (Row row : rows) {
        appender.beginRow();
        for (Object value : row.values()) {
          append(appender, value);
        }
        appender.endRow();
      }
    }
  }

  private static void append(DuckDBAppender to, @Nullable Object value) throws SQLException {
    if (value instanceof String text) {
      to.append(text);
    } else if (value instanceof Integer number) {
      to.append(number.intValue());
    } else if (value instanceof Long number) {
      to.append(number.longValue());
    } else if (value instanceof Double number) {
      to.append(number.doubleValue());
    } else if (value instanceof Boolean truth) {
      to.append(truth.booleanValue());
    } else if (value instanceof Instant at) {
      to.append(utc(at));
    } else if (value instanceof byte[] bytes) {
      to.append(bytes);
    } else {
      throw new IllegalArgumentException("A value of " + value + " cannot be stored");
    }
  }

  @Override
  void lockSchema(Connection connection) {
    // No other process can have the file open.
  }

  @Override
  String dialect() {
    return "duckdb";
  }

  @Override
  String shown() {
    return Path.of(file).toAbsolutePath().normalize().toString();
  }

  @Override
  OutriggerException cannotOpen(SQLException e) {
    String said = String.valueOf(e.getMessage());
    if (said.contains("Could not set lock")) {
      Matcher holder = HOLDER.matcher(said);
      return new OutriggerException(
          "The event store "
              + file
              + " is in use by another process"
              + (holder.find() ? " (" + holder.group(1) + ")" : "")
              + ": stop it, or choose another file.\n"
              + said,
          e);
    }
    if (said.contains("Permission denied")
        || said.contains("No such file or directory")
        || said.contains("Cannot open file")
        || said.contains("Is a directory")) {
      return new OutriggerException(
          "The event store "
              + file
              + " cannot be opened: check its folder and its permissions.\n"
              + said,
          e);
    }
    return new OutriggerException(
        "The event store "
            + file
            + " is damaged or no file of DuckDB: move it and "
            + file
            + ".wal (if it is there) out of the way, so that a new one is made, or choose another"
            + " file.\n"
            + said,
        e);
  }

  @Override
  public synchronized void reset() {
    DuckDBConnection old = root;
    root = null;
    if (old != null) {
      try {
        old.close();
      } catch (SQLException e) {
        // It failed already; a fresh one is opened.
        return;
      }
    }
  }

  @Override
  public void close() {
    reset();
  }
}
