package org.outrigger.core.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * One variable over time, at even steps.
 *
 * @param name for messages
 * @param values in the order of time; NaN where nothing was observed
 */
public record TimeSeries(String name, float[] values) {
  /**
   * Which columns of a table mean what.
   *
   * @param time rows are sorted by it; null: they stand in the order of time
   * @param id tells the series of a long table apart; null: the table holds one stretch of time
   * @param values columns with values, each a series of its own; empty: all numeric columns but
   *     time and id
   */
  public record Columns(@Nullable String time, @Nullable String id, List<String> values) {
    public Columns {
      values = List.copyOf(values);
    }

    /** All numeric columns, in the file's order. */
    public static Columns all() {
      return new Columns(null, null, List.of());
    }
  }

  /** How many points it has. */
  public int length() {
    return values.length;
  }

  /** The points from {@code start} on. */
  public TimeSeries part(int start, int length) {
    return new TimeSeries(name, Arrays.copyOfRange(values, start, start + length));
  }

  /**
   * Reads the series of a table.
   *
   * @param file .csv, .tsv, .parquet or .jsonl
   * @return at least one series with at least one observed point
   * @throws OutriggerException if a column is missing, a value column holds other things than
   *     numbers, a value is infinite, or a series has two rows of the same time
   */
  public static List<TimeSeries> read(Path file, Columns columns, DataOptions options) {
    TableColumns table = TableColumns.open(file, options);
    List<String> order = new ArrayList<>();
    for (String column : new String[] {columns.id, columns.time}) {
      if (column != null) {
        table.require(column);
        // Without a time the rows of a series stay in the file's order.
        if (columns.time != null) {
          order.add(column);
        }
      }
    }
    List<String> chosen = new ArrayList<>(columns.values);
    if (chosen.isEmpty()) {
      table.names().stream()
          .filter(name -> !name.equals(columns.time) && !name.equals(columns.id))
          .filter(table::numeric)
          .forEach(chosen::add);
    }
    if (chosen.isEmpty()) {
      throw new OutriggerException(
          file + " has no column of numbers: name the columns with the values.");
    }
    List<@Nullable String> ids = columns.id == null ? List.of() : table.texts(columns.id, order);
    if (columns.time != null) {
      checkTimes(file, ids, table.texts(columns.time, order));
    }
    List<TimeSeries> all = new ArrayList<>();
    for (String column : chosen) {
      double[] values = table.numbers(column, order);
      for (double value : values) {
        if (Double.isInfinite(value)) {
          throw new OutriggerException(
              "Column '" + column + "' of " + file + " holds an infinite value: leave it empty.");
        }
      }
      for (int[] rows : groups(ids, values.length)) {
        float[] points = new float[rows.length];
        for (int i = 0; i < rows.length; i++) {
          points[i] = (float) values[rows[i]];
        }
        if (hasPoint(points)) {
          String id = ids.isEmpty() ? "" : Objects.toString(ids.get(rows[0]), "") + "/";
          all.add(new TimeSeries(id + column, points));
        }
      }
    }
    if (all.isEmpty()) {
      throw new OutriggerException(file + " has no values: every cell is empty.");
    }
    return all;
  }

  private static boolean hasPoint(float[] points) {
    for (float point : points) {
      if (!Float.isNaN(point)) {
        return true;
      }
    }
    return false;
  }

  /** The rows of each series, in the order in which the series first occur. */
  private static List<int[]> groups(List<@Nullable String> ids, int rows) {
    java.util.Map<String, List<Integer>> groups = new java.util.LinkedHashMap<>();
    for (int i = 0; i < rows; i++) {
      String id = ids.isEmpty() ? "" : Objects.toString(ids.get(i), "");
      groups.computeIfAbsent(id, none -> new ArrayList<>()).add(i);
    }
    return groups.values().stream()
        .map(list -> list.stream().mapToInt(Integer::intValue).toArray())
        .toList();
  }

  private static void checkTimes(
      Path file, List<@Nullable String> ids, List<@Nullable String> times) {
    for (int i = 0; i < times.size(); i++) {
      if (times.get(i) == null) {
        throw new OutriggerException(
            file + " has a row without a time: fill it in, or leave the row out.");
      }
      boolean same = i > 0 && (ids.isEmpty() || Objects.equals(ids.get(i), ids.get(i - 1)));
      if (same && Objects.equals(times.get(i), times.get(i - 1))) {
        throw new OutriggerException(
            file
                + " has two rows of the time "
                + times.get(i)
                + (ids.isEmpty()
                    ? ": name the column that tells its series apart."
                    : " in the series '" + ids.get(i) + "': keep one of them."));
      }
    }
  }
}
