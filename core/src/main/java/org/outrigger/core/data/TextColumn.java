package org.outrigger.core.data;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;

/** Texts or numbers of one column of a table, or the lines of a text file, in the file's order. */
public final class TextColumn {
  private TextColumn() {}

  /**
   * The texts of a column.
   *
   * @param file a .csv, .tsv, .parquet or .jsonl table, or any other file, whose lines are taken
   * @param column of the table; null for the lines of a text file
   * @param limit at most this many, from the first on; 0: all
   * @throws OutriggerException if the file or the column is not there, or a cell is empty
   */
  public static List<String> read(Path file, @Nullable String column, int limit) {
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException("There is no file " + file + ".");
    }
    if (!TableDataset.recognises(file)) {
      return lines(file, limit);
    }
    if (column == null) {
      throw new OutriggerException(file + " is a table: name the column that holds the texts.");
    }
    List<String> cells = cells(file, column, limit);
    for (int i = 0; i < cells.size(); i++) {
      if (cells.get(i) == null) {
        throw new OutriggerException(
            "Row " + i + " of " + file + " has no '" + column + "': fill it or leave it out.");
      }
    }
    return cells;
  }

  /**
   * The numbers of a column.
   *
   * @param limit at most this many, from the first on; 0: all
   * @throws OutriggerException if a cell is no finite number
   */
  public static double[] numbers(Path file, String column, int limit) {
    List<String> cells = read(file, column, limit);
    double[] values = new double[cells.size()];
    for (int i = 0; i < values.length; i++) {
      try {
        values[i] = Double.parseDouble(cells.get(i));
      } catch (NumberFormatException e) {
        values[i] = Double.NaN;
      }
      if (!Double.isFinite(values[i])) {
        throw new OutriggerException(
            "Row "
                + i
                + " of "
                + file
                + " has '"
                + cells.get(i)
                + "' as its '"
                + column
                + "', which is no number.");
      }
    }
    return values;
  }

  private static List<String> lines(Path file, int limit) {
    try (Stream<String> lines = Files.lines(file)) {
      return (limit > 0 ? lines.limit(limit) : lines).toList();
    } catch (UncheckedIOException e) {
      throw unreadable(file, e);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static OutriggerException unreadable(Path file, Exception e) {
    boolean text = !(e.getCause() instanceof MalformedInputException);
    return new OutriggerException(
        file + (text ? " cannot be read: " + e.getMessage() : " is no text file in UTF-8."), e);
  }

  private static List<String> cells(Path file, String column, int limit) {
    String name = Table.fileName(file);
    String lower = file.getFileName().toString().toLowerCase(Locale.ROOT);
    String from =
        lower.endsWith(".parquet")
            ? "read_parquet(" + name + ", hive_partitioning=false)"
            : lower.contains(".jsonl") || lower.contains(".ndjson")
                ? "read_json(" + name + ", format='newline_delimited', hive_partitioning=false)"
                : "read_csv("
                    + name
                    + ", all_varchar=true, header=true, hive_partitioning=false"
                    + (lower.contains(".tsv") ? ", delim='\\t')" : ")");
    try (Connection db = Table.connect(DataOptions.defaults())) {
      List<String> columns =
          Table.texts(db, "SELECT column_name FROM (DESCRIBE SELECT * FROM " + from + ")");
      if (!columns.contains(column)) {
        List<String> near = Methods.nearest(column, columns);
        throw new OutriggerException(
            file.getFileName()
                + " has no column '"
                + column
                + "'."
                + (near.isEmpty() ? "" : " Did you mean '" + String.join("' or '", near) + "'?")
                + " Its columns: "
                + String.join(", ", columns)
                + ".");
      }
      return new ArrayList<>(
          Table.texts(
              db,
              "SELECT CAST("
                  + Table.column(column)
                  + " AS VARCHAR) FROM "
                  + from
                  + (limit > 0 ? " LIMIT " + limit : "")));
    } catch (SQLException e) {
      throw Table.failure(file, e);
    }
  }
}
