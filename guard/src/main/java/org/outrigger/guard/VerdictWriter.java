package org.outrigger.guard;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Locale;
import java.util.Properties;
import org.duckdb.DuckDBAppender;
import org.duckdb.DuckDBConnection;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;

/**
 * Writes verdicts to Parquet, CSV or JSON Lines, by the ending of the file's name. Nothing is at
 * the target before {@link #commit}; without it nothing is left behind.
 */
public final class VerdictWriter implements AutoCloseable {
  private static final String TABLE =
      "CREATE TABLE verdicts (id VARCHAR, label INTEGER, class_name VARCHAR, probability DOUBLE,"
          + " score DOUBLE, unknown BOOLEAN, detector VARCHAR)";

  private final Path target;
  private final String format;
  private final Path store;
  private final DuckDBConnection connection;
  private @Nullable DuckDBAppender appender;

  private VerdictWriter(Path target, String format) {
    this.target = target;
    this.format = format;
    try {
      // Verdicts wait on disk, not in memory: there may be many millions.
      store = Files.createTempDirectory("outrigger-verdicts");
      // Ctrl-C ends the JVM without close(); files go before the folder that was named first.
      store.toFile().deleteOnExit();
      store.resolve("verdicts.db").toFile().deleteOnExit();
      store.resolve("verdicts.db.wal").toFile().deleteOnExit();
      Properties properties = new Properties();
      properties.setProperty("memory_limit", "256MB");
      connection =
          (DuckDBConnection)
              DriverManager.getConnection(
                  "jdbc:duckdb:" + store.resolve("verdicts.db"), properties);
      try (Statement statement = connection.createStatement()) {
        statement.execute(TABLE);
      }
      appender = connection.createAppender(DuckDBConnection.DEFAULT_SCHEMA, "verdicts");
    } catch (IOException | SQLException e) {
      throw cannotWait(Path.of(System.getProperty("java.io.tmpdir", ".")), e);
    }
  }

  /**
   * Opens a writer.
   *
   * @param target ends in .parquet, .csv or .jsonl
   */
  public static VerdictWriter open(Path target) {
    String name = target.toString().toLowerCase(Locale.ROOT);
    if (name.endsWith(".parquet")) {
      return new VerdictWriter(target, "FORMAT parquet");
    }
    if (name.endsWith(".csv")) {
      return new VerdictWriter(target, "FORMAT csv, HEADER");
    }
    if (name.endsWith(".jsonl") || name.endsWith(".ndjson")) {
      return new VerdictWriter(target, "FORMAT json");
    }
    throw new OutriggerException(
        "Verdicts cannot be written to " + target + ": name a .parquet, .csv or .jsonl file.");
  }

  /** Adds a verdict. */
  public void write(Verdict verdict) {
    DuckDBAppender rows = appender;
    if (rows == null) {
      throw new IllegalStateException("Nothing can be added after commit");
    }
    try {
      rows.beginRow();
      rows.append(verdict.id());
      rows.append(verdict.label());
      rows.append(verdict.className());
      rows.append(verdict.probability());
      rows.append(verdict.score());
      rows.append(verdict.unknown());
      rows.append(verdict.detector());
      rows.endRow();
    } catch (SQLException e) {
      throw cannotWait(store.getParent(), e);
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
                "COPY (SELECT * FROM verdicts ORDER BY rowid) TO '"
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
      throw new OutriggerException("The store of verdicts cannot be closed: " + e.getMessage(), e);
    } finally {
      deleteStore();
    }
  }

  private static OutriggerException cannotWait(@Nullable Path folder, Exception cause) {
    return new OutriggerException(
        "Verdicts wait in the temporary folder "
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
