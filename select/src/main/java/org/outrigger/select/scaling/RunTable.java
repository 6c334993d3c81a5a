package org.outrigger.select.scaling;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.TableColumns;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.State;

/**
 * What was measured in the runs of a study: one row for each run, step, data set and metric. As a
 * file it is a table with the columns below, of which {@code value} (or {@code loss}) and one of
 * {@code parameters}, {@code data} and {@code compute} must be there, so that figures of other
 * experiments can be fitted too.
 *
 * @param rows in the order in which they were measured
 */
public record RunTable(List<Row> rows) {
  private static final List<String> COLUMNS =
      List.of(
          "architecture",
          "model",
          "seed",
          "parameters",
          "data",
          "step",
          "tokens",
          "compute",
          "dataset",
          "metric",
          "value");

  public RunTable {
    rows = List.copyOf(rows);
  }

  /**
   * One figure.
   *
   * @param architecture such as {@code encoder}
   * @param model the name of the size, such as {@code 10K}
   * @param seed of the run
   * @param parameters N; NaN if unknown
   * @param data D, time points in the training data; NaN if unknown
   * @param step optimiser steps so far; NaN if unknown
   * @param tokens seen so far; NaN if unknown
   * @param compute in PF-days so far; NaN if unknown
   * @param dataset such as {@code id}
   * @param metric such as {@code nll}
   * @param value the figure
   */
  public record Row(
      String architecture,
      String model,
      String seed,
      double parameters,
      double data,
      double step,
      double tokens,
      double compute,
      String dataset,
      String metric,
      double value) {
    /** The run that it belongs to. */
    Run run() {
      return new Run(architecture, model, seed, parameters, data);
    }

    /** For a checkpoint. */
    Map<String, Object> values() {
      return org.outrigger.core.method.Methods.values(this);
    }

    /** From a checkpoint. */
    static Row of(Map<String, Object> saved) {
      State values = new State("run", 1, saved, Map.of());
      return new Row(
          values.text("architecture"),
          values.text("model"),
          values.text("seed"),
          values.number("parameters"),
          values.number("data"),
          values.number("step"),
          values.number("tokens"),
          values.number("compute"),
          values.text("dataset"),
          values.text("metric"),
          values.number("value"));
    }
  }

  /** What tells two runs apart. */
  record Run(String architecture, String model, String seed, double parameters, double data) {}

  /**
   * Reads a table.
   *
   * @param file .csv, .tsv, .parquet or .jsonl
   * @throws OutriggerException if a needed column is missing or a cell is no number
   */
  public static RunTable read(Path file) {
    TableColumns table = TableColumns.open(file, DataOptions.defaults());
    List<String> names = table.names();
    String value = names.contains("value") || !names.contains("loss") ? "value" : "loss";
    table.require(value);
    if (names.stream().noneMatch(Set.of("parameters", "data", "compute")::contains)) {
      throw new OutriggerException(
          file
              + " says nothing of size: it needs a column parameters, data or compute. It has: "
              + String.join(", ", names)
              + ".");
    }
    double[] values = table.numbers(value);
    if (values.length == 0) {
      throw new OutriggerException(file + " has no rows: there is nothing to fit.");
    }
    Columns columns = new Columns(table, names, values.length);
    String[] architecture = columns.texts("architecture", "model");
    String[] model = columns.texts("model", "");
    String[] seed = columns.texts("seed", "0");
    double[] parameters = columns.numbers("parameters");
    double[] data = columns.numbers("data");
    double[] step = columns.numbers("step");
    double[] tokens = columns.numbers("tokens");
    double[] compute = columns.numbers("compute");
    String[] dataset = columns.texts("dataset", "id");
    String[] metric = columns.texts("metric", value.equals("loss") ? "loss" : "nll");
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < values.length; i++) {
      if (Double.isNaN(values[i])) {
        throw new OutriggerException(
            "Row "
                + (i + 1)
                + " of "
                + file
                + " has no "
                + value
                + ": leave out the run that diverged, or train it again.");
      }
      rows.add(
          new Row(
              architecture[i],
              model[i],
              seed[i],
              parameters[i],
              data[i],
              step[i],
              tokens[i],
              compute[i],
              dataset[i],
              metric[i],
              values[i]));
    }
    return new RunTable(rows);
  }

  /** Columns that may be missing. */
  private record Columns(TableColumns table, List<String> names, int rows) {
    String[] texts(String column, String otherwise) {
      String[] cells = new String[rows];
      List<@Nullable String> found = names.contains(column) ? table.texts(column) : List.of();
      for (int i = 0; i < rows; i++) {
        String cell = i < found.size() ? found.get(i) : null;
        cells[i] = cell == null ? otherwise : cell;
      }
      return cells;
    }

    double[] numbers(String column) {
      if (names.contains(column)) {
        return table.numbers(column);
      }
      double[] none = new double[rows];
      java.util.Arrays.fill(none, Double.NaN);
      return none;
    }
  }

  /** Writes a CSV file, whole or not at all. */
  public void write(Path file) {
    AtomicFiles.write(
        file,
        out -> {
          PrintWriter text = new PrintWriter(out, false, StandardCharsets.UTF_8);
          text.println(String.join(",", COLUMNS));
          for (Row row : rows) {
            List<String> cells = new ArrayList<>();
            for (Object cell : row.values().values()) {
              cells.add(cell(cell));
            }
            text.println(String.join(",", cells));
          }
          text.flush();
        });
  }

  private static String cell(Object value) {
    if (value instanceof Double number) {
      return number.isNaN()
          ? ""
          : number == Math.rint(number) && Math.abs(number) < 1e15
              ? Long.toString(number.longValue())
              : number.toString();
    }
    String text = value.toString();
    return text.matches("[^,\"\\n\\r]*") ? text : '"' + text.replace("\"", "\"\"") + '"';
  }

  /** The different values of a column, in order. */
  List<String> distinct(Function<Row, String> column) {
    Set<String> values = new LinkedHashSet<>();
    rows.forEach(row -> values.add(column.apply(row)));
    return List.copyOf(values);
  }
}
