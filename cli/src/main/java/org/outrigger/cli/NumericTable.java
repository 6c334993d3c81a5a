package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.DataFiles;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Tensors;
import picocli.CommandLine.Option;

/** Tables of which one column is a number to predict; how commands for regression read data. */
final class NumericTable {
  @Option(
      names = "--features",
      split = ",",
      paramLabel = "COLUMN",
      description = "Feature columns; all other numeric columns by default.")
  private List<String> features = List.of();

  @Option(names = "--id-column", paramLabel = "COLUMN", description = "Column that names the rows.")
  private @Nullable String id;

  @Option(names = "--limit", paramLabel = "N", description = "Read at most N rows.")
  private int limit;

  @Option(
      names = "--strict",
      description = "Stop at the first row that cannot be read, instead of leaving it out.")
  private boolean strict;

  /**
   * Rows in memory, in the innermost scope.
   *
   * @param columns the features, in order
   * @param inputs [N, D]
   * @param targets [N]; null where none were asked for
   * @param ids of the rows
   */
  record Rows(
      String name,
      List<String> columns,
      Tensor inputs,
      @Nullable Tensor targets,
      List<String> ids) {}

  /**
   * Reads features and, unless it is null, a target.
   *
   * @param columns the features; empty: those of --features, or all that are numeric
   */
  Rows read(Path path, List<String> columns, @Nullable String target, PrintWriter err) {
    List<String> known = columns.isEmpty() ? features : columns;
    List<String> wanted = new ArrayList<>(known.isEmpty() ? numeric(path) : known);
    wanted.remove(target);
    if (wanted.isEmpty()) {
      throw new OutriggerException(path + " has no feature column beside '" + target + "'.");
    }
    List<String> all = new ArrayList<>(wanted);
    if (target != null) {
      all.add(target);
    }
    try (TensorDataset rows = TensorDataset.copyOf(Tables.inMemory(open(path, all), err))) {
      int width = wanted.size();
      Tensor values = rows.inputs().index_select(1, Tensors.labels(positions(rows, all)));
      try (Batch batch = rows.read(IntStream.range(0, (int) rows.size()).toArray())) {
        return new Rows(
            rows.name(),
            wanted,
            values.narrow(1, 0, width).contiguous(),
            target == null ? null : values.select(1, width).contiguous(),
            batch.ids());
      }
    }
  }

  private List<String> numeric(Path path) {
    List<String> found = open(path, List.of()).featureColumns();
    if (found.isEmpty()) {
      throw new OutriggerException(
          path + " has no named columns: give a CSV, Parquet or JSON Lines table.");
    }
    return found;
  }

  private Dataset open(Path path, List<String> columns) {
    if (EmbeddedData.names(path)) {
      var data = EmbeddedData.open(path.toString(), "all", List.of());
      return limit > 0 ? data.limit(limit) : data;
    }
    return DataFiles.open(
        path, DataOptions.defaults().features(columns).id(id).limit(limit).strict(strict));
  }

  /** Where the columns are; embedded tables come with all of theirs. */
  private static int[] positions(Dataset data, List<String> columns) {
    List<String> there = data.featureColumns();
    return columns.stream()
        .mapToInt(
            column -> {
              int at = there.indexOf(column);
              if (at < 0) {
                List<String> near = Methods.nearest(column, there);
                throw new OutriggerException(
                    data.name()
                        + " has no column '"
                        + column
                        + "'."
                        + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
                        + (there.isEmpty()
                            ? ""
                            : " Its columns: " + String.join(", ", there) + "."));
              }
              return at;
            })
        .toArray();
  }
}
