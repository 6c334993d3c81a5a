package org.outrigger.core.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;

/**
 * Single columns of a CSV, TSV, Parquet or JSON Lines file, whole and in order: for tables whose
 * columns have names that mean something, in place of a matrix of features. CSV files begin with
 * column names.
 */
public final class TableColumns {
  private final Path file;
  private final DataOptions options;
  private final String from;
  private final Map<String, String> types = new LinkedHashMap<>();

  private TableColumns(Path file, DataOptions options, String from) {
    this.file = file;
    this.options = options;
    this.from = from;
  }

  /**
   * Opens a table.
   *
   * @throws OutriggerException if there is no such file, it is no table, or damaged
   */
  public static TableColumns open(Path file, DataOptions options) {
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException("There is no file " + file + ".");
    }
    TableColumns table = new TableColumns(file, options, from(file));
    try (Connection db = Table.connect(options);
        Statement statement = db.createStatement();
        ResultSet rows = statement.executeQuery("DESCRIBE SELECT * FROM " + table.from)) {
      while (rows.next()) {
        table.types.put(rows.getString("column_name"), rows.getString("column_type"));
      }
    } catch (SQLException e) {
      throw Table.failure(file, e);
    }
    return table;
  }

  private static String from(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    String quoted = Table.fileName(file);
    if (name.endsWith(".parquet")) {
      return "read_parquet(" + quoted + ", hive_partitioning=false)";
    }
    if (name.matches(".*\\.(jsonl|ndjson)(\\.gz)?")) {
      return "read_json(" + quoted + ", format='newline_delimited', hive_partitioning=false)";
    }
    if (name.matches(".*\\.[ct]sv(\\.gz)?")) {
      return "read_csv("
          + quoted
          + ", header=true, sample_size=-1, hive_partitioning=false"
          + (name.contains(".tsv") ? ", delim='\\t'" : "")
          + ")";
    }
    throw new OutriggerException(
        file + " is no table: .csv, .tsv, .parquet, .jsonl and .ndjson files are.");
  }

  /** The names of all columns. */
  public List<String> names() {
    return List.copyOf(types.keySet());
  }

  /** Whether a column holds numbers. */
  public boolean numeric(String column) {
    require(column);
    return String.valueOf(types.get(column))
        .matches("U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*");
  }

  /**
   * Demands a column.
   *
   * @throws OutriggerException with the nearest names if there is none
   */
  public void require(String column) {
    if (!types.containsKey(column)) {
      List<String> near = Methods.nearest(column, types.keySet());
      throw new OutriggerException(
          file.getFileName()
              + " has no column '"
              + column
              + "'."
              + (near.isEmpty() ? "" : " Did you mean '" + String.join("' or '", near) + "'?")
              + " Its columns: "
              + types.keySet().stream().limit(50).collect(Collectors.joining(", "))
              + ".");
    }
  }

  /** A column's cells as numbers, in the file's order; NaN where a cell is empty. */
  public double[] numbers(String column) {
    return numbers(column, List.of());
  }

  /**
   * A column's cells as numbers; NaN where a cell is empty.
   *
   * @param order columns that the rows are sorted by, in their own types; empty for the file's
   *     order
   * @throws OutriggerException if the column holds something else
   */
  public double[] numbers(String column, List<String> order) {
    require(column);
    List<Double> values = new ArrayList<>();
    String name = Table.column(column);
    walk(
        "TRY_CAST(" + name + " AS DOUBLE), CAST(" + name + " AS VARCHAR)",
        order,
        rows -> {
          double value = rows.getDouble(1);
          boolean none = rows.wasNull();
          String text = rows.getString(2);
          if (none && text != null) {
            throw new OutriggerException(
                "Column '"
                    + column
                    + "' of "
                    + file.getFileName()
                    + " holds other things than numbers, such as '"
                    + text
                    + "': name another, or repair the cells.");
          }
          values.add(none ? Double.NaN : value);
        });
    return values.stream().mapToDouble(Double::doubleValue).toArray();
  }

  /** A column's cells as text, in the file's order; null where a cell is empty. */
  public List<@Nullable String> texts(String column) {
    return texts(column, List.of());
  }

  /** A column's cells as text, sorted as for {@link #numbers(String, List)}. */
  public List<@Nullable String> texts(String column, List<String> order) {
    require(column);
    List<@Nullable String> values = new ArrayList<>();
    walk(
        "CAST(" + Table.column(column) + " AS VARCHAR)",
        order,
        rows -> values.add(rows.getString(1)));
    return Collections.unmodifiableList(values);
  }

  private interface Row {
    void take(ResultSet rows) throws SQLException;
  }

  private void walk(String what, List<String> order, Row row) {
    order.forEach(this::require);
    String sorted =
        order.isEmpty()
            ? ""
            : order.stream().map(Table::column).collect(Collectors.joining(", ", " ORDER BY ", ""));
    String limit = options.limit() > 0 ? " LIMIT " + options.limit() : "";
    try (Connection db = Table.connect(options);
        Statement statement = db.createStatement();
        ResultSet rows =
            statement.executeQuery("SELECT " + what + " FROM " + from + sorted + limit)) {
      while (rows.next()) {
        row.take(rows);
      }
    } catch (SQLException e) {
      throw Table.failure(file, e);
    }
  }
}
