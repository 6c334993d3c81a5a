package org.outrigger.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.DataFiles;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.data.TableDataset;
import picocli.CommandLine.Option;

/** How data is read; the same options for every command that reads data. */
final class DataArguments {
  @Option(names = "--label", paramLabel = "COLUMN", description = "Label column of a table.")
  private @Nullable String label;

  @Option(names = "--id-column", paramLabel = "COLUMN", description = "Column that names the rows.")
  private @Nullable String id;

  @Option(
      names = "--time-column",
      paramLabel = "COLUMN",
      description = "Column that says when a row was seen; no feature.")
  private @Nullable String time;

  @Option(
      names = "--features",
      split = ",",
      paramLabel = "COLUMN",
      description = "Feature columns of a table; all other numeric columns by default.")
  private List<String> features = List.of();

  @Option(
      names = "--preprocessor",
      paramLabel = "FILE",
      description = "How images are prepared: a HuggingFace preprocessor_config.json.")
  private @Nullable Path preprocessor;

  @Option(
      names = "--size",
      paramLabel = "N|HxW",
      description = "Resize images to N x N or H x W pixels.")
  private @Nullable String size;

  @Option(
      names = "--channels",
      paramLabel = "1|3",
      description = "Read images as grey (1) or colour (3); as they are by default.")
  private int channels;

  @Option(
      names = "--mean",
      split = ",",
      paramLabel = "M",
      description = "Subtract this from the channels, which are in 0 .. 1.")
  private List<Double> mean = List.of();

  @Option(
      names = "--std",
      split = ",",
      paramLabel = "S",
      description = "Divide the channels by this, after --mean.")
  private List<Double> std = List.of();

  @Option(
      names = "--class-names",
      split = ",",
      paramLabel = "NAME",
      description = "The classes in the model's order; sorted by name by default.")
  private List<String> names = List.of();

  @Option(names = "--limit", paramLabel = "N", description = "Read at most N rows.")
  private int limit;

  @Option(
      names = "--strict",
      description = "Stop at the first row that cannot be read, instead of leaving it out.")
  private boolean strict;

  /** At most so many rows; 0: all. */
  int limit() {
    return limit;
  }

  /** What the options say of images; null if they say nothing. */
  @Nullable Preprocessing preprocessing() {
    boolean described = size != null || channels != 0 || !mean.isEmpty() || !std.isEmpty();
    if (preprocessor == null && !described) {
      return null;
    }
    Preprocessing steps =
        preprocessor == null ? Preprocessing.none() : Preprocessing.read(preprocessor);
    if (size != null) {
      if (!size.matches("\\d{1,5}(x\\d{1,5})?")) {
        throw new OutriggerException("--size '" + size + "' is no size: write 32 or 32x48.");
      }
      String[] sides = size.split("x", -1);
      steps = steps.resize(Integer.parseInt(sides[0]), Integer.parseInt(sides[sides.length - 1]));
    }
    if (channels != 0) {
      steps = steps.channels(channels);
    }
    if (!mean.isEmpty() || !std.isEmpty()) {
      steps = steps.normalise(mean, std);
    }
    return steps;
  }

  /**
   * Opens data: a path, or the name of an embedded data set such as {@code mnist:test}.
   *
   * @param classNames the classes in the model's order, or empty; --class-names goes before them
   * @param saved used where the options say nothing of images
   */
  Dataset open(Path data, List<String> classNames, @Nullable Preprocessing saved) {
    return open(data, classNames, saved, "test");
  }

  /**
   * As {@link #open(Path, List, Preprocessing)}.
   *
   * @param part which part of an embedded data set is meant where none is named
   */
  Dataset open(Path data, List<String> classNames, @Nullable Preprocessing saved, String part) {
    return open(data, classNames, saved, part, List.of());
  }

  /**
   * As {@link #open(Path, List, Preprocessing, String)}.
   *
   * @param columns the features of a table where --features names none; empty: all that are numeric
   */
  Dataset open(
      Path data,
      List<String> classNames,
      @Nullable Preprocessing saved,
      String part,
      List<String> columns) {
    return open(data, classNames, saved, part, columns, label);
  }

  /**
   * Opens data whose rows have a time.
   *
   * @param column of a table that holds it; null if it has none
   * @param columns as for {@link #open(Path, List, Preprocessing, String, List)}
   */
  Dataset openTimed(
      Path data,
      List<String> classNames,
      @Nullable Preprocessing saved,
      List<String> columns,
      @Nullable String column) {
    time = column;
    return open(data, classNames, saved, "test", columns, label);
  }

  /**
   * Opens data whose label column, if it has one, is not read.
   *
   * @param columns as for {@link #open(Path, List, Preprocessing, String, List)}
   */
  Dataset openUnlabelled(Path data, List<String> columns) {
    return open(data, List.of(), null, "test", columns, null);
  }

  private Dataset open(
      Path data,
      List<String> classNames,
      @Nullable Preprocessing saved,
      String part,
      List<String> columns,
      @Nullable String labelColumn) {
    Preprocessing own = preprocessing();
    Preprocessing steps = own == null ? saved : own;
    List<String> classes = names.isEmpty() ? classNames : names;
    if (EmbeddedData.names(data)) {
      IndexedDataset embedded = EmbeddedData.open(data.toString(), part, classes);
      IndexedDataset rows = DataFiles.prepared(embedded, steps);
      return limit > 0 ? rows.limit(limit) : rows;
    }
    return DataFiles.open(
        data,
        DataOptions.defaults()
            .label(labelColumn)
            .id(id)
            .time(time)
            .features(
                features.isEmpty() && !Files.isDirectory(data) && TableDataset.recognises(data)
                    ? columns
                    : features)
            .classNames(Files.isDirectory(data) ? EmbeddedData.folderNames(classes) : classes)
            .preprocessing(steps)
            .strict(strict)
            .limit(limit));
  }
}
