package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.Change;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardMonitor;
import org.outrigger.guard.MonitorSettings;
import org.outrigger.guard.MonitoredWindow;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Monitors a file. */
@Command(
    name = "monitor",
    mixinStandardHelpOptions = true,
    description = {
      "Finds where data drifted away from what a guard was fitted on, and what changed.",
      "Rows are taken in the order of time, window by window; each is compared with the reference"
          + " that is saved in the guard: inputs, scores, unknown rate, predictions, confidence, and"
          + " errors where there are labels.",
      "A table that is in the order of time is streamed; another one is sorted in memory."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger monitor --guard mlp.guard --data traffic.csv --by-time when",
      "  outrigger monitor --guard mlp.guard --data traffic.parquet --by-time when \\",
      "      --label species --window 1h --out report.html --json report.json",
      "  outrigger monitor --guard resnet.guard --data incoming/ --window 100",
      "",
      "With --fail-on-drift the exit code is 1 if there was any drift."
    })
final class MonitorCommand implements Callable<Integer> {
  private static final int MOST_TIMED = 5000;
  private static final int SHOWN = 60;

  @Spec private CommandSpec spec;

  @Option(names = "--guard", required = true, paramLabel = "DIR", description = "A saved guard.")
  private Path bundle;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "A CSV, TSV, Parquet or JSON Lines file, or a folder of images.")
  private Path data;

  @Option(
      names = "--by-time",
      paramLabel = "COLUMN",
      description =
          "The column that says when a row was seen: ISO 8601, a date, or a number since 1970."
              + " Images go by when their files were changed.")
  private @Nullable String byTime;

  @Option(
      names = "--window",
      paramLabel = "ROWS|TIME",
      defaultValue = "200",
      description =
          "Rows that are compared together, or a time such as 15m, 1h or 1d, of which 5,000 rows at"
              + " most; ${DEFAULT-VALUE} by default.")
  private String window;

  @Option(
      names = "--alpha",
      paramLabel = "P",
      defaultValue = "0.001",
      description =
          "The chance of a false alarm in a window without drift, over all channels;"
              + " ${DEFAULT-VALUE} by default.")
  private double alpha;

  @Option(
      names = "--patience",
      paramLabel = "K/N",
      defaultValue = "1/1",
      description = "Say drift where K of the last N windows agree; ${DEFAULT-VALUE} by default.")
  private String patience;

  @Option(
      names = "--test",
      paramLabel = "NAME",
      defaultValue = "ks-test",
      description = "The test of the inputs, with settings; ${DEFAULT-VALUE} by default.")
  private String test;

  @Option(
      names = "--error-detector",
      paramLabel = "NAME,...",
      defaultValue = "hddm-w,adwin",
      description = "What follows the errors, with settings; ${DEFAULT-VALUE} by default.")
  private String detectors;

  @Option(names = "--out", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", paramLabel = "FILE", description = "Write all figures as JSON.")
  private @Nullable Path json;

  @Option(names = "--fail-on-drift", description = "Exit with 1 if there was any drift.")
  private boolean failOnDrift;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public Integer call() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    if (json != null) {
      AtomicFiles.check(json);
    }
    MonitorSettings settings = settings();
    device.apply();
    if (byTime == null && !Files.isDirectory(data)) {
      throw new OutriggerException(
          "Say which column holds the time of each row: --by-time COLUMN.");
    }
    try (Guard guard = Guard.load(bundle, device.name());
        MonitorRun run = new MonitorRun(guard, settings)) {
      Dataset rows =
          reading.openTimed(
              data,
              guard.info().classNames(),
              guard.preprocessing(),
              guard.info().features(),
              byTime);
      TimedRows ordered = new TimedRows(rows, batchSize);
      try (Progress progress = new Progress("Monitoring", rows.size())) {
        ordered.walk(
            (inputs, ids, labels, times) -> {
              run.take(inputs, ids, labels, times);
              progress.to(run.summary().rows());
            });
      }
      run.finish();
      Skips.report(spec.commandLine().getErr(), rows.name(), ordered.skipped());
      if (run.summary().windows() == 0) {
        throw new OutriggerException(
            data
                + " has "
                + run.summary().rows()
                + " rows, too few for one window of "
                + MonitorSettings.LEAST
                + " rows.");
      }
      if (report != null) {
        MonitorReport.of(run, rows.name()).write(report);
      }
      if (json != null) {
        byte[] text =
            Json.pretty(run.toJson(rows.name())).getBytes(java.nio.charset.StandardCharsets.UTF_8);
        AtomicFiles.write(json, out -> out.write(text));
      }
      print(run);
      return failOnDrift && !run.changes().isEmpty() ? ExitCode.NO : ExitCode.OK;
    }
  }

  private MonitorSettings settings() {
    MonitorSettings settings =
        MonitorSettings.defaults()
            .withAlpha(alpha)
            .withMethods(test, detectors)
            .withHistory(20_000);
    if (!patience.matches("\\d{1,4}/\\d{1,4}")) {
      throw new OutriggerException(
          "--patience '" + patience + "' is none: write 2/3 for two of three windows.");
    }
    String[] parts = patience.split("/", -1);
    settings = settings.withPatience(Integer.parseInt(parts[0]), Integer.parseInt(parts[1]));
    if (window.matches("\\d{1,7}")) {
      return settings.withWindow(Integer.parseInt(window), null);
    }
    if (!window.matches("\\d{1,6}[smhd]")) {
      throw new OutriggerException(
          "--window '"
              + window
              + "' is none: write rows, such as 500, or a time, such as 15m, 1h or"
              + " 1d.");
    }
    long count = Long.parseLong(window.substring(0, window.length() - 1));
    Duration time =
        switch (window.charAt(window.length() - 1)) {
          case 's' -> Duration.ofSeconds(count);
          case 'm' -> Duration.ofMinutes(count);
          case 'h' -> Duration.ofHours(count);
          default -> Duration.ofDays(count);
        };
    return settings.withWindow(MOST_TIMED, time);
  }

  private void print(MonitorRun run) {
    PrintWriter out = spec.commandLine().getOut();
    GuardMonitor.Summary summary = run.summary();
    boolean labelled = summary.labels() > 0;
    TextTable table = new TextTable(header(labelled));
    int from = Math.max(0, summary.history().size() - SHOWN);
    for (int i = from; i < summary.history().size(); i++) {
      MonitoredWindow each = summary.history().get(i);
      List<String> cells =
          new java.util.ArrayList<>(
              List.of(
                  time(each.from()),
                  Integer.toString(each.rows()),
                  ReportPage.percent(each.unknownRate()),
                  String.format(Locale.ROOT, "%.3g", each.meanScore()),
                  ReportPage.percent(each.meanConfidence())));
      if (labelled) {
        cells.add(ReportPage.percent(run.accuracy().get(i)));
      }
      cells.add(
          each.channels().stream()
              .filter(MonitoredWindow.Channel::drift)
              .map(c -> c.change().channel())
              .collect(Collectors.joining(", ")));
      table.row(cells);
    }
    if (from > 0) {
      out.println("The last " + SHOWN + " of " + summary.history().size() + " windows:");
    }
    table.print(out);
    out.println();
    List<Change> begun = run.beginnings();
    begun.stream()
        .limit(SHOWN)
        .forEach(
            change ->
                out.println(time(change.at()) + "  " + change.channel() + ": " + change.message()));
    if (begun.size() > SHOWN) {
      out.println("and " + (begun.size() - SHOWN) + " more changes");
    }
    if (!begun.isEmpty()) {
      out.println();
    }
    out.printf(
        Locale.ROOT,
        "%,d rows in %,d windows, %,d of them with drift.%n",
        summary.rows(),
        summary.windows(),
        run.drifted());
    if (labelled) {
      out.println(
          "Errors: "
              + ReportPage.percent(summary.errors() / (double) summary.labels())
              + " of "
              + summary.labels()
              + " labelled rows; held-out rows: "
              + ReportPage.percent(summary.expectedErrorRate())
              + ".");
    }
    if (report != null) {
      out.println("Report: " + report);
    }
  }

  private static String[] header(boolean labelled) {
    return labelled
        ? new String[] {
          "from", "rows", "unknown", "mean score", "confidence", "accuracy", "drift in"
        }
        : new String[] {"from", "rows", "unknown", "mean score", "confidence", "drift in"};
  }

  /** A time to the second. */
  static String time(Instant at) {
    return at.truncatedTo(ChronoUnit.SECONDS).toString();
  }
}
