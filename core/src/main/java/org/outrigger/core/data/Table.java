package org.outrigger.core.data;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/** A private DuckDB in this process: connection, quoting, small queries, errors. */
final class Table {
  private Table() {}

  /** A new, empty, bounded database. It loads no extension from the network. */
  static Connection connect(DataOptions options) throws SQLException {
    Connection db = DriverManager.getConnection("jdbc:duckdb:");
    try (Statement statement = db.createStatement()) {
      statement.execute("SET memory_limit=" + text(options.memory()));
      statement.execute("SET threads=" + options.threads());
      statement.execute("SET temp_directory=" + text(System.getProperty("java.io.tmpdir")));
      statement.execute("SET autoinstall_known_extensions=false");
      statement.execute("SET preserve_insertion_order=true");
      return db;
    } catch (SQLException e) {
      db.close();
      throw e;
    }
  }

  /** A text literal. */
  static String text(String value) {
    return "'" + value.replace("'", "''") + "'";
  }

  /** A column name. */
  static String column(String name) {
    return "\"" + name.replace("\"", "\"\"") + "\"";
  }

  /** A file name as a literal in which no character is a wildcard. */
  static String fileName(Path file) {
    return text(file.toString().replaceAll("[\\[*?]", "[$0]"));
  }

  /** The first column as text. */
  static List<String> texts(Connection db, String query) throws SQLException {
    List<String> texts = new ArrayList<>();
    try (Statement statement = db.createStatement();
        ResultSet rows = statement.executeQuery(query)) {
      while (rows.next()) {
        texts.add(rows.getString(1));
      }
    }
    return texts;
  }

  /** The first row as text; empty if there is none. */
  static List<@Nullable String> row(Connection db, String query) throws SQLException {
    List<@Nullable String> cells = new ArrayList<>();
    try (Statement statement = db.createStatement();
        ResultSet rows = statement.executeQuery(query)) {
      if (rows.next()) {
        for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
          cells.add(rows.getString(i));
        }
      }
    }
    return cells;
  }

  static OutriggerException failure(Path file, SQLException e) {
    return new OutriggerException(
        file
            + " cannot be read as a table: it is damaged or of another form than its name says. Fetch"
            + " or save it again.\n"
            + e.getMessage(),
        e);
  }
}
