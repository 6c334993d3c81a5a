package org.outrigger.core.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.duckdb.DuckDBAppender;
import org.duckdb.DuckDBConnection;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;

/**
 * Writes a table to Parquet, CSV or JSON Lines, by the ending of the file's name. Nothing is at the
 * target before {@link #commit}; without it nothing is left behind.
 *
 * <pre>{@code
 * Map<String, Class<?>> columns = new LinkedHashMap<>();
 * columns.put("id", String.class);
 * columns.put("probability", Double.class);
 * try (TableWriter writer = TableWriter.open(Path.of("rows.parquet"), columns)) {
 *   writer.write("a", 0.9);
 *   writer.commit();
 * }
 * }</pre>
 */
public final class TableWriter implements AutoCloseable {
  private static final Map<Class<?>, String> TYPES =
      Map.of(
          String.class, "VARCHAR",
          Integer.class, "INTEGER",
          Long.class, "BIGINT",
          Double.class, "DOUBLE",
          Boolean.class, "BOOLEAN");

  private final Path target;
  private final String format;
  private final Path store;
  private final DuckDBConnection connection;
  private final int columns;
  private @Nullable DuckDBAppender appender;

  private TableWriter(Path target, String format, Map<String, Class<?>> columns) {
    this.columns = columns.size();
    this.target = target;
    this.format = format;
    try {
      // Rows wait on disk, not in memory: there may be many millions.
      store = Files.createTempDirectory("outrigger-table");
      // Ctrl-C ends the JVM without close(); files go before the folder that was named first.
      store.toFile().deleteOnExit();
      store.resolve("rows.db").toFile().deleteOnExit();
      store.resolve("rows.db.wal").toFile().deleteOnExit();
      Properties properties = new Properties();
      properties.setProperty("memory_limit", "256MB");
      connection =
          (DuckDBConnection)
              DriverManager.getConnection("jdbc:duckdb:" + store.resolve("rows.db"), properties);
      try (Statement statement = connection.createStatement()) {
        statement.execute(
            columns.entrySet().stream()
                .map(c -> quoted(c.getKey()) + " " + type(c))
                .collect(Collectors.joining(", ", "CREATE TABLE rows (", ")")));
      }
      appender = connection.createAppender(DuckDBConnection.DEFAULT_SCHEMA, "rows");
    } catch (IOException | SQLException e) {
      throw cannotWait(Path.of(System.getProperty("java.io.tmpdir", ".")), e);
    }
  }

  /**
   * Opens a writer.
   *
   * @param target ends in .parquet, .csv or .jsonl
   * @param columns names and types in order: String, Integer, Long, Double or Boolean
   */
  public static TableWriter open(Path target, Map<String, Class<?>> columns) {
    String name = target.toString().toLowerCase(Locale.ROOT);
    if (name.endsWith(".parquet")) {
      return new TableWriter(target, "FORMAT parquet", columns);
    }
    if (name.endsWith(".csv")) {
      return new TableWriter(target, "FORMAT csv, HEADER", columns);
    }
    if (name.endsWith(".jsonl") || name.endsWith(".ndjson")) {
      return new TableWriter(target, "FORMAT json", columns);
    }
    throw new OutriggerException(
        "A table cannot be written to " + target + ": name a .parquet, .csv or .jsonl file.");
  }

  private static String quoted(String name) {
    return '"' + name.replace("\"", "\"\"") + '"';
  }

  private static String type(Map.Entry<String, Class<?>> column) {
    String type = TYPES.get(column.getValue());
    if (type == null) {
      throw new IllegalArgumentException(
          "A column " + column.getKey() + " of " + column.getValue() + " cannot be written");
    }
    return type;
  }

  /** Adds a row: a value of its type for each column, or null for none. */
  public void write(@Nullable Object... values) {
    DuckDBAppender rows = appender;
    if (rows == null) {
      throw new IllegalStateException("Nothing can be added after commit");
    }
    if (values.length != columns) {
      throw new IllegalArgumentException(values.length + " values for " + columns + " columns");
    }
    try {
      rows.beginRow();
      for (Object value : values) {
        append(rows, value);
      }
      rows.endRow();
    } catch (SQLException e) {
      throw cannotWait(store.getParent(), e);
    }
  }

  private static void append(DuckDBAppender rows, @Nullable Object value) throws SQLException {
    if (value == null) {
      rows.appendNull();
    } else if (value instanceof String text) {
      rows.append(text);
    } else if (value instanceof Integer number) {
      rows.append(number.intValue());
    } else if (value instanceof Long number) {
      rows.append(number.longValue());
    } else if (value instanceof Double number) {
      rows.append(number.doubleValue());
    } else if (value instanceof Boolean truth) {
      rows.append(truth.booleanValue());
    } else {
      throw new IllegalArgumentException("A value of " + value.getClass() + " cannot be written");
    }
  }

  /** Writes the file, whole or not at all. */
  public void commit() {
    try {
      if (appender != null) {
        appender.close();
        appender = null;
      }
    } catch (SQLException e) {
      throw cannotWait(store.getParent(), e);
    }
    AtomicFiles.file(
        target,
        file -> {
          try (Statement statement = connection.createStatement()) {
            statement.execute(
                "COPY (SELECT * FROM rows ORDER BY rowid) TO '"
                    + file.toString().replace("'", "''")
                    + "' ("
                    + format
                    + ")");
          } catch (SQLException e) {
            throw new IOException(e.getMessage(), e);
          }
        });
  }

  @Override
  public void close() {
    try (Connection closing = connection) {
      if (appender != null) {
        appender.close();
        appender = null;
      }
    } catch (SQLException e) {
      throw new OutriggerException("The store of the table cannot be closed: " + e.getMessage(), e);
    } finally {
      deleteStore();
    }
  }

  private static OutriggerException cannotWait(@Nullable Path folder, Exception cause) {
    return new OutriggerException(
        "Rows wait in the temporary folder "
            + folder
            + " until all are there, but it cannot hold them: free some space in it, or choose"
            + " another with the JVM's option -Djava.io.tmpdir=DIR.\n"
            + cause.getMessage(),
        cause);
  }

  private void deleteStore() {
    try (var files = Files.list(store)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
      Files.delete(store);
    } catch (IOException e) {
      store.toFile().deleteOnExit();
    }
  }
}
