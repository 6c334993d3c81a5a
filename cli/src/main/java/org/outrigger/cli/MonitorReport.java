package org.outrigger.cli;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.Change;
import org.outrigger.guard.GuardMonitor;
import org.outrigger.guard.MonitoredWindow;

/** Draws what a monitor found in a file. */
final class MonitorReport {
  private static final int MOST_FEATURES = 24;
  private static final int MOST_COLUMNS = 100;
  private static final int MOST_ROWS = 200;

  private MonitorReport() {}

  static ReportPage of(MonitorRun run, String data) {
    GuardMonitor.Summary summary = run.summary();
    List<MonitoredWindow> windows = summary.history();
    ReportPage page =
        new ReportPage(
            "Did the data drift? " + data,
            "Compared with the "
                + run.reference().size()
                + " held-out rows of the guard of "
                + run.info().model()
                + ", from "
                + MonitorCommand.time(windows.get(0).from())
                + " to "
                + MonitorCommand.time(windows.get(windows.size() - 1).to())
                + ".");
    figures(page, run, windows);
    timeline(page, run, windows);
    heatMap(page, run, windows);
    changes(page, run);
    scores(page, run);
    return page;
  }

  private static void figures(ReportPage page, MonitorRun run, List<MonitoredWindow> windows) {
    GuardMonitor.Summary summary = run.summary();
    List<ReportPage.Figure> figures = new ArrayList<>();
    Change first = run.changes().isEmpty() ? null : run.changes().get(0);
    figures.add(
        new ReportPage.Figure(
            "Windows with drift",
            run.drifted() + " of " + windows.size(),
            first == null ? "nothing changed" : "first at " + MonitorCommand.time(first.at())));
    double unknown =
        windows.stream().mapToDouble(w -> w.unknownRate() * w.rows()).sum()
            / windows.stream().mapToDouble(MonitoredWindow::rows).sum();
    figures.add(
        new ReportPage.Figure(
            "Unknown inputs",
            ReportPage.percent(unknown),
            "held-out rows: " + ReportPage.percent(1 - run.info().threshold().accepted())));
    if (summary.labels() > 0) {
      figures.add(
          new ReportPage.Figure(
              "Accuracy",
              ReportPage.percent(1 - summary.errors() / (double) summary.labels()),
              "held-out rows: " + ReportPage.percent(1 - summary.expectedErrorRate())));
    }
    figures.add(
        new ReportPage.Figure(
            "Rows",
            String.format(Locale.ROOT, "%,d", summary.rows()),
            "false alarms: one in " + Math.round(1 / run.settings().alpha()) + " windows at most"));
    page.figures(figures);
  }

  private static void timeline(ReportPage page, MonitorRun run, List<MonitoredWindow> windows) {
    page.section(
        "Timeline",
        "One point a window, in the order of time. Vertical lines show where a drift began.");
    double[] x = windows.stream().mapToDouble(w -> w.number() + 1).toArray();
    double[] begun =
        windows.stream()
            .filter(w -> w.channels().stream().anyMatch(c -> c.drift() && c.change().first()))
            .mapToDouble(w -> w.number() + 1)
            .toArray();
    List<Chart.Line> rates = new ArrayList<>();
    rates.add(line("unknown", x, windows, MonitoredWindow::unknownRate));
    rates.add(line("confidence", x, windows, MonitoredWindow::meanConfidence));
    if (run.summary().labels() > 0) {
      rates.add(
          new Chart.Line(
              "accuracy", x, run.accuracy().stream().mapToDouble(Double::doubleValue).toArray()));
    }
    page.charts(
        Chart.lines(
                "Rates",
                "The share of unknown inputs, the mean probability of the predicted class"
                    + (rates.size() > 2 ? ", and the share of right predictions." : "."),
                "window",
                "share",
                rates.toArray(new Chart.Line[0]))
            .marked("drift", begun),
        Chart.lines(
                "Score",
                "The mean score of the window; larger is less familiar.",
                "window",
                "mean score",
                line("mean score", x, windows, MonitoredWindow::meanScore))
            .zoomed()
            .marked("drift", begun));
  }

  private static Chart.Line line(
      String name,
      double[] x,
      List<MonitoredWindow> windows,
      ToDoubleFunction<MonitoredWindow> value) {
    return new Chart.Line(name, x, windows.stream().mapToDouble(value).toArray());
  }

  private static void heatMap(ReportPage page, MonitorRun run, List<MonitoredWindow> windows) {
    List<String> features = run.reference().features();
    int columns = Math.min(MOST_COLUMNS, windows.size());
    double[][] all = new double[features.size()][columns];
    for (int f = 0; f < features.size(); f++) {
      for (int w = 0; w < windows.size(); w++) {
        int c = (int) ((long) w * columns / windows.size());
        double effect = windows.get(w).inputEffects().get(f);
        if (Math.abs(effect) > Math.abs(all[f][c])) {
          all[f][c] = effect;
        }
      }
    }
    int[] shown =
        IntStream.range(0, features.size())
            .boxed()
            .sorted(Comparator.comparingDouble(f -> -largest(all[f])))
            .limit(MOST_FEATURES)
            .sorted()
            .mapToInt(Integer::intValue)
            .toArray();
    double[][] values = new double[shown.length][];
    List<String> names = new ArrayList<>();
    for (int i = 0; i < shown.length; i++) {
      values[i] = all[shown[i]];
      names.add(features.get(shown[i]));
    }
    List<String> across =
        IntStream.range(0, columns)
            .mapToObj(c -> Long.toString((long) c * windows.size() / columns + 1))
            .toList();
    page.section(
        "What changed in the inputs",
        features.size() > shown.length
            ? "The " + shown.length + " of " + features.size() + " features that moved most."
            : "");
    page.charts(
        Chart.heatMap(
            "Inputs",
            "How far each feature moved from the reference, in its standard deviations: above it in"
                + " the one colour, below it in the other. Colours are full at two.",
            "window",
            across,
            names,
            values,
            2));
  }

  private static double largest(double[] values) {
    double most = 0;
    for (double value : values) {
      most = Math.max(most, Math.abs(value));
    }
    return most;
  }

  private static void changes(ReportPage page, MonitorRun run) {
    List<Change> begun = run.beginnings();
    if (begun.isEmpty()) {
      page.section("Changes", "No window differs significantly from the reference.");
      return;
    }
    page.section("Changes", "Where something began to differ from the reference.");
    page.table(
        begun.size() > MOST_ROWS ? "The first " + MOST_ROWS + " of " + begun.size() + "." : "",
        List.of("when", "window", "channel", "method", "p-value", "what"),
        begun.stream()
            .limit(MOST_ROWS)
            .map(
                c ->
                    List.of(
                        MonitorCommand.time(c.at()),
                        Long.toString(c.window() + 1),
                        c.channel(),
                        c.method(),
                        Double.isNaN(c.pValue())
                            ? "-"
                            : String.format(Locale.ROOT, "%.1e", c.pValue()),
                        c.message()))
            .toList());
    Map<String, List<String>> rows = new LinkedHashMap<>();
    for (Change change : begun) {
      for (Change.Feature f : change.features()) {
        rows.putIfAbsent(
            change.channel() + " " + f.name(),
            List.of(
                f.name(),
                change.channel(),
                String.format(Locale.ROOT, "%.4g", f.before()),
                String.format(Locale.ROOT, "%.4g", f.after()),
                String.format(Locale.ROOT, "%+.2f", f.effect())));
      }
    }
    if (!rows.isEmpty()) {
      page.table(
          "Features and classes when they began to differ: mean or share in the reference and in"
              + " the window, and the difference in standard deviations of the reference.",
          List.of("feature", "channel", "before", "after", "effect"),
          rows.values().stream().limit(MOST_ROWS).toList());
    }
  }

  private static void scores(ReportPage page, MonitorRun run) {
    page.section("Scores", "The guard gives each input a score; larger is less familiar.");
    Map<String, double[]> groups = new LinkedHashMap<>();
    groups.put("reference", run.reference().scores());
    groups.put("this data", run.scores());
    page.charts(
        Chart.histogram(
            "Distribution of scores",
            "Inputs to the right of the threshold are unknown.",
            "score",
            groups,
            run.info().threshold().value()));
    page.table(
        "The least familiar rows.",
        List.of("row", "when", "predicted", "score", "unknown"),
        run.furthest().stream()
            .map(
                r ->
                    List.of(
                        r.id(),
                        MonitorCommand.time(r.at()),
                        r.label(),
                        ReportPage.number(r.score()),
                        r.unknown() ? "yes" : "no"))
            .collect(Collectors.toList()));
  }
}
