package org.outrigger.core.data;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * How files are read; each kind of file uses what concerns it. Start from {@link #defaults()} and
 * change what differs.
 *
 * @param features feature columns of a table; empty: all numeric columns except label, id and time,
 *     or the list column {@code features}
 * @param label label column of a table; null: unlabelled
 * @param id column that names the rows; null: rows are numbered from 0
 * @param time column with a time for each row; null: none
 * @param header whether a CSV file begins with column names; null: it does, unless its first line
 *     holds numbers only
 * @param classNames the classes in the model's order; what is not among them has label -1. Empty:
 *     as found, sorted
 * @param preprocessing of images; null: bytes to 0 .. 1 alone
 * @param strict whether the first row that cannot be read stops a walk
 * @param limit at most this many rows, from the first on; 0: all
 * @param maxPixels images whose header declares more are not decoded
 * @param memory what DuckDB may use while it reads a table, such as {@code 1GB}
 * @param threads of DuckDB while it reads a table
 */
public record DataOptions(
    List<String> features,
    @Nullable String label,
    @Nullable String id,
    @Nullable String time,
    @Nullable Boolean header,
    List<String> classNames,
    @Nullable Preprocessing preprocessing,
    boolean strict,
    int limit,
    long maxPixels,
    String memory,
    int threads) {
  private static final DataOptions DEFAULTS =
      new DataOptions(
          List.of(),
          null,
          null,
          null,
          null,
          List.of(),
          null,
          false,
          0,
          100_000_000,
          "1GB",
          Math.max(1, Math.min(4, Runtime.getRuntime().availableProcessors())));

  public DataOptions {
    features = List.copyOf(features);
    classNames = List.copyOf(classNames);
    if (limit < 0) {
      throw new OutriggerException("limit = " + limit + " is out of range: use 0 (all) or more.");
    }
    if (maxPixels < 1 || threads < 1) {
      throw new OutriggerException(
          "maxPixels = " + maxPixels + " and threads = " + threads + " must be 1 or more.");
    }
    if (!memory.matches("[0-9]+(\\.[0-9]+)?\\s*([KMGT]i?B|%)")) {
      throw new OutriggerException("memory = " + memory + " is no size: use one such as 1GB.");
    }
  }

  /** Everything found by itself: unlabelled tables, all rows, 100 megapixels an image, 1 GB. */
  public static DataOptions defaults() {
    return DEFAULTS;
  }

  /** With these feature columns. */
  public DataOptions features(String... columns) {
    return features(List.of(columns));
  }

  /** With these feature columns. */
  public DataOptions features(List<String> columns) {
    return new DataOptions(
        columns,
        label,
        id,
        time,
        header,
        classNames,
        preprocessing,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With that label column. */
  public DataOptions label(@Nullable String column) {
    return new DataOptions(
        features,
        column,
        id,
        time,
        header,
        classNames,
        preprocessing,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With that id column. */
  public DataOptions id(@Nullable String column) {
    return new DataOptions(
        features,
        label,
        column,
        time,
        header,
        classNames,
        preprocessing,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With that time column. */
  public DataOptions time(@Nullable String column) {
    return new DataOptions(
        features,
        label,
        id,
        column,
        header,
        classNames,
        preprocessing,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With or without a line of column names. */
  public DataOptions header(@Nullable Boolean present) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        present,
        classNames,
        preprocessing,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With the classes in that order. */
  public DataOptions classNames(List<String> names) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        header,
        names,
        preprocessing,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With that preparation of images. */
  public DataOptions preprocessing(@Nullable Preprocessing images) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        header,
        classNames,
        images,
        strict,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** Stopping, or not, at the first row that cannot be read. */
  public DataOptions strict(boolean stop) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        header,
        classNames,
        preprocessing,
        stop,
        limit,
        maxPixels,
        memory,
        threads);
  }

  /** With at most that many rows; 0: all. */
  public DataOptions limit(int rows) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        header,
        classNames,
        preprocessing,
        strict,
        rows,
        maxPixels,
        memory,
        threads);
  }

  /** With images of at most that many pixels. */
  public DataOptions maxPixels(long pixels) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        header,
        classNames,
        preprocessing,
        strict,
        limit,
        pixels,
        memory,
        threads);
  }

  /** With these bounds on DuckDB while it reads a table. */
  public DataOptions memory(String size, int threads) {
    return new DataOptions(
        features,
        label,
        id,
        time,
        header,
        classNames,
        preprocessing,
        strict,
        limit,
        maxPixels,
        size,
        threads);
  }
}
