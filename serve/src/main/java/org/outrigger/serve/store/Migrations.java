package org.outrigger.serve.store;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * Brings a database to the schema of this version: numbered SQL files, each applied once, in one
 * transaction, and noted with its checksum. A file may have a companion for one kind of database.
 */
final class Migrations {
  private static final String NOTES =
      "CREATE TABLE IF NOT EXISTS store_schema (version INTEGER NOT NULL, name VARCHAR NOT NULL,"
          + " checksum VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)";

  /** One numbered step. */
  record Step(int version, String name, String sql) {
    String checksum() {
      try {
        return HexFormat.of()
            .formatHex(
                MessageDigest.getInstance("SHA-256").digest(sql.getBytes(StandardCharsets.UTF_8)));
      } catch (NoSuchAlgorithmException e) {
        throw new IllegalStateException(e);
      }
    }

    /** Its statements; each ends with a semicolon at the end of a line. */
    List<String> statements() {
      List<String> all = new ArrayList<>();
      for (String statement : sql.replaceAll("(?m)^--.*$", "").split(";\\s*(\n|$)", -1)) {
        if (!statement.isBlank()) {
          all.add(statement.strip());
        }
      }
      return all;
    }
  }

  private Migrations() {}

  /** The steps of this version for a kind of database. */
  static List<Step> steps(String dialect) {
    List<Step> steps = new ArrayList<>();
    for (String name : String.valueOf(resource("migrations.txt")).lines().toList()) {
      String common = resource(name);
      if (common == null) {
        throw new IllegalStateException("There is no migration " + name);
      }
      String companion = resource(name.replace(".sql", "." + dialect + ".sql"));
      steps.add(
          new Step(
              Integer.parseInt(name.substring(0, 3)),
              name,
              companion == null ? common : common + "\n" + companion));
    }
    return steps;
  }

  private static @Nullable String resource(String name) {
    try (InputStream in = Migrations.class.getResourceAsStream(name)) {
      return in == null
          ? null
          : new String(in.readAllBytes(), StandardCharsets.UTF_8).replace("\r\n", "\n");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Applies what is missing.
   *
   * @throws OutriggerException if the database is of a newer version, or a step that it has is not
   *     the one of this version; nothing was changed
   */
  static void apply(Database database, List<Step> steps) throws SQLException {
    try (Connection connection = database.connect()) {
      connection.setAutoCommit(false);
      while (true) {
        try (Statement statement = connection.createStatement()) {
          database.lockSchema(connection);
          statement.execute(NOTES);
          Step next = next(database, applied(connection), steps);
          if (next == null) {
            connection.commit();
            return;
          }
          for (String sql : next.statements()) {
            statement.execute(sql);
          }
          note(connection, next);
          connection.commit();
        } catch (SQLException e) {
          connection.rollback();
          if (String.valueOf(e.getMessage()).contains("already exists")) {
            throw new OutriggerException(
                "The database "
                    + database.shown()
                    + " has tables of others with the names of the event store's: give the store a"
                    + " database or a schema of its own.\n"
                    + e.getMessage(),
                e);
          }
          throw e;
        } catch (RuntimeException e) {
          connection.rollback();
          throw e;
        }
      }
    }
  }

  /** Demands that a database that is only read has the schema of this version. */
  static void check(Database database, List<Step> steps) throws SQLException {
    try (Connection connection = database.connect()) {
      Step missing;
      try {
        missing = next(database, applied(connection), steps);
      } catch (SQLException e) {
        throw new OutriggerException(
            database.shown()
                + " is no event store: name the file or URL that a server wrote.\n"
                + e.getMessage(),
            e);
      }
      if (missing != null) {
        throw new OutriggerException(
            "The event store "
                + database.shown()
                + " is of an older version: start a server on it once, which brings it up to date.");
      }
    }
  }

  private static Map<Integer, String> applied(Connection connection) throws SQLException {
    Map<Integer, String> applied = new TreeMap<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT version, checksum FROM store_schema")) {
      while (rows.next()) {
        applied.put(rows.getInt(1), rows.getString(2));
      }
    }
    return applied;
  }

  /** The first step that is missing; null if none is. */
  private static @Nullable Step next(
      Database database, Map<Integer, String> applied, List<Step> steps) {
    int newest = steps.get(steps.size() - 1).version();
    for (int version : applied.keySet()) {
      if (version > newest) {
        throw new OutriggerException(
            "The event store "
                + database.shown()
                + " has schema version "
                + version
                + ", but this Outrigger knows "
                + newest
                + ": use the newer Outrigger that wrote it, or another store.");
      }
    }
    for (Step step : steps) {
      String checksum = applied.get(step.version());
      if (checksum == null) {
        return step;
      }
      if (!checksum.equals(step.checksum())) {
        throw new OutriggerException(
            "The event store "
                + database.shown()
                + " was made with another "
                + step.name()
                + " than this Outrigger has: use the Outrigger that wrote it, or another store.");
      }
    }
    return null;
  }

  private static void note(Connection connection, Step step) throws SQLException {
    try (PreparedStatement insert =
        connection.prepareStatement("INSERT INTO store_schema VALUES (?, ?, ?, ?)")) {
      Database.bind(insert, step.version(), step.name(), step.checksum(), Instant.now());
      insert.executeUpdate();
    }
  }
}
