package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.TableDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.stream.DriftDetector;
import org.outrigger.stream.DriftLevel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Follows a column of a table. */
@Command(
    name = "watch",
    mixinStandardHelpOptions = true,
    description = {
      "Follows one column of a table, row by row, and says where it changed.",
      "ddm and eddm need errors, 1 or 0; hddm-a and hddm-w numbers from 0 to 1; the others any."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger drift watch --data log.csv --column error",
      "  outrigger drift watch --data log.csv --column latency --time-column when \\",
      "      --detector adwin,page-hinkley:threshold=200 --report latency.html"
    })
final class DriftWatchCommand implements Runnable {
  private static final int BATCH = 4096;
  private static final int POINTS = 400;

  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = "A .csv, .tsv, .parquet or .jsonl file, in the order of time.")
  private Path file;

  @Option(
      names = "--column",
      required = true,
      paramLabel = "COLUMN",
      description = "The column to follow.")
  private String column;

  @Option(
      names = "--time-column",
      paramLabel = "COLUMN",
      description = "Show this column beside the row.")
  private @Nullable String time;

  @Option(
      names = {"--detector", "--detectors"},
      paramLabel = "NAME,...",
      defaultValue = "hddm-w,adwin",
      description = "Detectors with settings; ${DEFAULT-VALUE} by default.")
  private String list;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  /** A flag that went up: the row, counted from 1, and its time. */
  private record Event(String detector, DriftLevel level, long row, String time) {}

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    List<DriftDetector> detectors = Methods.parse(DriftDetector.class, list);
    TableDataset data =
        TableDataset.open(file, DataOptions.defaults().features(List.of(column)).time(time));
    List<Double> values = new ArrayList<>();
    List<Event> events = new ArrayList<>();
    try (Batches batches = data.batches(BATCH)) {
      while (batches.hasNext()) {
        try (Batch batch = batches.next()) {
          double[] next = Tensors.doubles(batch.inputs());
          for (int i = 0; i < next.length; i++) {
            values.add(next[i]);
            String when = batch.times().isEmpty() ? "" : batch.times().get(i);
            follow(detectors, next[i], values.size(), when, events);
          }
        }
      }
      Skips.report(spec.commandLine().getErr(), data.name(), batches.skipped());
    }
    if (values.isEmpty()) {
      throw new OutriggerException(file + " has no row with a number in column '" + column + "'.");
    }
    if (report != null) {
      page(data.name(), values, detectors, events).write(report);
    }
    show(values.size(), detectors, events);
  }

  private static void follow(
      List<DriftDetector> detectors, double value, long row, String when, List<Event> events) {
    for (DriftDetector detector : detectors) {
      DriftLevel before = detector.level();
      DriftLevel now;
      try {
        now = detector.update(value);
      } catch (OutriggerException e) {
        throw new OutriggerException("Row " + row + ": " + e.firstLine(), e);
      }
      // EDDM keeps its flag between errors, but every update after a drift starts anew.
      boolean drifted = now == DriftLevel.DRIFT;
      boolean warned = now == DriftLevel.WARNING && before != DriftLevel.WARNING;
      if (drifted || warned) {
        events.add(new Event(detector.card().slug(), now, row, when));
      }
    }
  }

  private void show(long rows, List<DriftDetector> detectors, List<Event> events) {
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("column", column);
      all.put("rows", rows);
      all.put("events", events);
      out.println(Json.pretty(all));
      return;
    }
    TextTable table =
        time == null
            ? new TextTable("row", "detector", "says")
            : new TextTable("row", "time", "detector", "says");
    for (Event event : events) {
      String says = event.level.name().toLowerCase(Locale.ROOT);
      String row = Long.toString(event.row);
      table.row(
          time == null
              ? List.of(row, event.detector, says)
              : List.of(row, event.time, event.detector, says));
    }
    if (!events.isEmpty()) {
      table.print(out);
      out.println();
    }
    out.println(rows + " rows of " + column + ":");
    for (DriftDetector detector : detectors) {
      out.println("  " + detector.card().slug() + ": " + drifts(detector, events) + " drifts");
    }
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }

  private static long drifts(DriftDetector detector, List<Event> events) {
    return events.stream()
        .filter(e -> e.level == DriftLevel.DRIFT && e.detector.equals(detector.card().slug()))
        .count();
  }

  private ReportPage page(
      String name, List<Double> values, List<DriftDetector> detectors, List<Event> events) {
    ReportPage page = new ReportPage("When did it change?", column + " of " + name);
    List<ReportPage.Figure> figures = new ArrayList<>();
    figures.add(new ReportPage.Figure("rows", Integer.toString(values.size()), column));
    for (DriftDetector detector : detectors) {
      figures.add(
          new ReportPage.Figure(
              detector.card().name(), Long.toString(drifts(detector, events)), "drifts"));
    }
    page.figures(figures);
    page.section("Timeline", "The mean of neighbouring rows, and where each detector fired.");
    List<Chart.Line> lines = new ArrayList<>();
    int width = Math.max(1, values.size() / POINTS);
    int count = (values.size() + width - 1) / width;
    double[] x = new double[count];
    double[] y = new double[count];
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      List<Double> part = values.subList(i * width, Math.min(values.size(), (i + 1) * width));
      y[i] = part.stream().mapToDouble(v -> v).average().orElse(0);
      x[i] = i * width + (part.size() + 1) / 2.0;
      low = Math.min(low, y[i]);
      high = Math.max(high, y[i]);
    }
    lines.add(new Chart.Line(column, x, y));
    double top = high > low ? high : low + 1;
    for (DriftDetector detector : detectors) {
      lines.add(marks(detector, events, low, top));
    }
    page.charts(
        Chart.lines(
            column + " over time",
            "Each peak of a detector's line is a drift; the line is flat elsewhere.",
            "row",
            column,
            lines.toArray(new Chart.Line[0])));
    page.table(
        "All flags, in order.",
        List.of("row", "time", "detector", "says"),
        events.stream()
            .map(
                e ->
                    List.of(
                        Long.toString(e.row),
                        e.time,
                        e.detector,
                        e.level.name().toLowerCase(Locale.ROOT)))
            .toList());
    return page;
  }

  /** A flat line with a peak at every drift. */
  private static Chart.Line marks(
      DriftDetector detector, List<Event> events, double low, double top) {
    String slug = detector.card().slug();
    double[] rows =
        events.stream()
            .filter(e -> e.level == DriftLevel.DRIFT && e.detector.equals(slug))
            .mapToDouble(Event::row)
            .toArray();
    double[] x = new double[3 * rows.length];
    double[] y = new double[3 * rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int k = 0; k < 3; k++) {
        x[3 * i + k] = rows[i];
        y[3 * i + k] = k == 1 ? top : low;
      }
    }
    return new Chart.Line("drift by " + slug, x, y);
  }
}
