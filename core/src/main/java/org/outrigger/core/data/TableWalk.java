package org.outrigger.core.data;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.duckdb.DuckDBChunkedResult;
import org.duckdb.DuckDBPreparedStatement;
import org.duckdb.DuckDBReadableVector;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

/**
 * One walk over a table. DuckDB hands out its result in column chunks of 2,048 rows, whose memory
 * is read in place: that is ten times faster than a JDBC result set, and no more than a few chunks
 * are ever held.
 */
final class TableWalk implements Batches {
  /** Beyond this many the file is the problem, and the list would fill the memory. */
  private static final int MAX_SKIPPED = 100_000;

  private final Path file;
  private final List<String> featureNames;
  private final boolean list;
  private final Map<String, Integer> labels;
  private final boolean labelled;
  private final boolean numericNames;
  private final boolean withIds;
  private final boolean withTimes;
  private final boolean withRejects;
  private final int batchSize;
  private final int width;

  private final Connection db;
  private final DuckDBPreparedStatement statement;
  private final DuckDBChunkedResult result;
  private DuckDBReadableVector[] chunk = {};
  private int chunkRows;
  private int chunkAt;
  private long row;

  private final float[] values;
  private final long[] labelValues;
  private int filled;
  private List<String> ids = new ArrayList<>();
  private List<String> times = new ArrayList<>();
  private final List<Skipped> skipped = new ArrayList<>();
  private boolean ended;
  private boolean finished;
  private boolean closed;

  TableWalk(
      Path file,
      DataOptions options,
      String query,
      List<String> featureNames,
      boolean list,
      Map<String, Integer> labels,
      int batchSize,
      boolean withRejects) {
    this.file = file;
    this.featureNames = featureNames;
    this.list = list;
    this.labels = labels;
    this.batchSize = batchSize;
    this.withRejects = withRejects;
    labelled = options.label() != null;
    numericNames = labels.keySet().stream().anyMatch(name -> wholeNumber(name) != null);
    withIds = options.id() != null;
    withTimes = options.time() != null;
    width = featureNames.size();
    values = new float[Math.multiplyExact(batchSize, width)];
    labelValues = new long[batchSize];
    Connection opened = null;
    try {
      opened = Table.connect(options);
      db = opened;
      statement = opened.prepareStatement(query).unwrap(DuckDBPreparedStatement.class);
      result = statement.query();
    } catch (SQLException e) {
      OutriggerException failure = Table.failure(file, e);
      if (opened != null) {
        try {
          opened.close();
        } catch (SQLException second) {
          failure.addSuppressed(second);
        }
      }
      throw failure;
    }
  }

  /** The whole number that a label's text stands for, also written as 3.0; null if it is none. */
  static @Nullable Long wholeNumber(String text) {
    String digits = text.strip();
    if (digits.endsWith(".0")) {
      digits = digits.substring(0, digits.length() - 2);
    }
    if (!digits.matches("[+-]?[0-9]{1,9}")) {
      return null;
    }
    return Long.valueOf(digits);
  }

  @Override
  public List<Skipped> skipped() {
    return List.copyOf(skipped);
  }

  @Override
  public boolean hasNext() {
    if (closed) {
      return false;
    }
    try {
      while (filled < batchSize) {
        if (chunkAt < chunkRows) {
          take(Math.min(batchSize - filled, chunkRows - chunkAt));
        } else if (ended) {
          finish();
          break;
        } else {
          nextChunk();
        }
      }
    } catch (SQLException e) {
      close();
      throw Table.failure(file, e);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    if (filled == 0) {
      close();
    }
    return filled > 0;
  }

  private void nextChunk() throws SQLException {
    chunkAt = 0;
    chunkRows = 0;
    if (!result.nextChunk()) {
      throw new OutriggerException(
          file + " is damaged: reading stopped after row " + row + ", before the end of the file.");
    }
    chunkRows = Math.toIntExact(result.chunk().rowCount());
    chunk = new DuckDBReadableVector[Math.toIntExact(result.columnCount())];
    for (int i = 0; i < chunk.length; i++) {
      chunk[i] = result.chunk().vector(i);
    }
    if (chunkRows > 0 && chunk[chunk.length - 1].getBoolean(chunkRows - 1)) {
      ended = true;
      chunkRows--;
    }
  }

  /** Moves rows of the chunk into the batch, column by column, and then drops the bad ones. */
  private void take(int rows) {
    int[] badColumn = new int[rows];
    boolean bad = false;
    for (int c = 0; c < width; c++) {
      DuckDBReadableVector column = chunk[c];
      int target = filled * width + c;
      for (int i = 0; i < rows; i++, target += width) {
        float value = column.getFloat(chunkAt + i, Float.NaN);
        values[target] = value;
        if (!Float.isFinite(value) && badColumn[i] == 0) {
          badColumn[i] = c + 1;
          bad = true;
        }
      }
    }
    int first = filled;
    int next = list ? width + 1 : width;
    for (int i = 0; i < rows; i++) {
      int at = chunkAt + i;
      String id = withIds ? text(chunk[next + 1], at) : null;
      String name = id == null ? Long.toString(row) : id;
      row++;
      String label = labelled ? text(chunk[next], at) : null;
      String problem = problem(badColumn[i] - 1, at);
      if (problem == null && labelled && label == null) {
        problem = "it has no label";
      }
      if (problem != null) {
        skip(name, problem);
        continue;
      }
      if (filled < first + i) {
        System.arraycopy(values, (first + i) * width, values, filled * width, width);
      }
      if (label != null) {
        labelValues[filled] = label(label);
      }
      ids.add(name);
      if (withTimes) {
        String time = text(chunk[next + 2], at);
        times.add(time == null ? "" : time);
      }
      filled++;
    }
    chunkAt += rows;
  }

  private static @Nullable String text(DuckDBReadableVector column, int at) {
    return column.isNull(at) ? null : column.getString(at);
  }

  private @Nullable String problem(int badColumn, int at) {
    if (list) {
      long length = chunk[width].getLong(at, -1L);
      if (length != width) {
        return length < 0
            ? "its list of features is empty"
            : "its list of features has " + length + " values instead of " + width;
      }
    }
    if (badColumn < 0) {
      return null;
    }
    return "column '"
        + featureNames.get(badColumn)
        + "' "
        + (chunk[badColumn].isNull(at)
            ? "is empty or not a number"
            : "is " + chunk[badColumn].getFloat(at));
  }

  /** A name's class; else the whole number itself where classes are not named by numbers. */
  private long label(String text) {
    Integer named = labels.get(text);
    if (named != null) {
      return named;
    }
    Long number = numericNames ? null : wholeNumber(text);
    if (number == null || number < 0 || (!labels.isEmpty() && number >= labels.size())) {
      return -1;
    }
    return number;
  }

  private void skip(String id, String reason) {
    if (skipped.size() == MAX_SKIPPED) {
      throw new OutriggerException(
          file
              + ": more than "
              + MAX_SKIPPED
              + " rows cannot be read, the last, '"
              + id
              + "', because "
              + reason
              + ". Are the right columns chosen?");
    }
    skipped.add(new Skipped(id, reason));
  }

  /** Takes in what is known only at the end, once. */
  private void finish() throws SQLException {
    if (finished) {
      return;
    }
    finished = true;
    // The connection answers the next query only when this one is drained.
    while (result.nextChunk()) {
      chunk = new DuckDBReadableVector[0];
    }
    if (withRejects) {
      addRejects();
    }
  }

  /** Lines of a CSV file that DuckDB could not cut into the file's columns. */
  private void addRejects() throws SQLException {
    try (Statement query = db.createStatement();
        ResultSet lines =
            query.executeQuery(
                "SELECT line, min(error_message) FROM reject_errors GROUP BY line ORDER BY line")) {
      while (lines.next()) {
        skip(
            "line " + lines.getLong(1),
            lines.getString(2).lines().findFirst().orElse("it does not fit the columns"));
      }
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    try (db;
        statement;
        result) {
      chunk = new DuckDBReadableVector[0];
    } catch (SQLException e) {
      throw Table.failure(file, e);
    }
  }

  @Override
  public Batch next() {
    if (!hasNext()) {
      throw new NoSuchElementException("The walk over " + file + " has ended.");
    }
    Batch batch =
        new Batch(
            Tensors.of(Arrays.copyOf(values, filled * width), filled, width),
            labelled ? Tensors.of(Arrays.copyOf(labelValues, filled), filled) : null,
            ids,
            times);
    ids = new ArrayList<>(batchSize);
    times = new ArrayList<>();
    filled = 0;
    return batch;
  }
}
