package org.outrigger.serve.store;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import org.outrigger.core.OutriggerException;

/** A database of PostgreSQL; several servers may share it. */
final class PostgresDatabase extends Database {
  private final String url;
  private final Properties properties = new Properties();

  PostgresDatabase(StoreSettings settings) {
    url = settings.location();
    if (settings.user() != null) {
      properties.setProperty("user", settings.user());
    }
    if (settings.password() != null) {
      properties.setProperty("password", settings.password());
    }
    properties.setProperty("ApplicationName", "outrigger");
    properties.setProperty("reWriteBatchedInserts", "true");
    // What the URL says goes before these.
    properties.setProperty("connectTimeout", "5");
    properties.setProperty("loginTimeout", "10");
    properties.setProperty("socketTimeout", "60");
    properties.setProperty("tcpKeepAlive", "true");
  }

  @Override
  Connection connect() throws SQLException {
    return DriverManager.getConnection(url, properties);
  }

  @Override
  void append(Connection connection, String table, List<Row> rows) throws SQLException {
    if (rows.isEmpty()) {
      return;
    }
    String marks = String.join(", ", Collections.nCopies(rows.get(0).values().length, "?"));
    try (PreparedStatement insert =
        connection.prepareStatement("INSERT INTO " + table + " VALUES (" + marks + ")")) {
      for (Row row : rows) {
        bind(insert, row.values());
        insert.addBatch();
      }
      insert.executeBatch();
    }
  }

  @Override
  void lockSchema(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      // Any number will do, as long as all servers take the same one.
      statement.execute("SELECT pg_advisory_xact_lock(7306371)");
    }
  }

  @Override
  String dialect() {
    return "postgresql";
  }

  @Override
  String shown() {
    return shown(url);
  }

  @Override
  OutriggerException cannotOpen(SQLException e) {
    String state = String.valueOf(e.getSQLState());
    String what =
        state.startsWith("28")
            ? " does not let this server in: check the user and OUTRIGGER_STORE_PASSWORD."
            : state.equals("3D000")
                ? " does not exist: make it with CREATE DATABASE, or check the URL."
                : state.startsWith("42501")
                    ? " does not let this server make tables: grant it CREATE on its schema."
                    : " cannot be reached: check the URL, and that the database runs.";
    return new OutriggerException("The event store " + shown() + what + "\n" + e.getMessage(), e);
  }

  @Override
  void reset() {
    // Each connection is its own.
  }

  @Override
  public void close() {
    // Each connection is closed by its task.
  }
}
