package org.outrigger.guard;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.evaluate.stream.StreamReport;

/** Draws what an {@link AdapterComparison} measured. */
public final class AdapterReport {
  private static final int CURVES = 8;
  private static final int COLUMNS = 8;

  private AdapterReport() {}

  /**
   * A page about adapters on a stream.
   *
   * @param model its name
   * @param data that of the stream
   * @param protocol that of the stream, with what was chosen of it
   */
  public static ReportPage of(
      AdapterComparison comparison, String model, String data, String protocol) {
    ReportPage page =
        new ReportPage(
            "Adapters on a stream: " + model,
            "The stream " + protocol + " over " + data + ". Every adapter saw the same batches.");
    headline(page, comparison);
    accuracy(page, comparison);
    cost(page, comparison);
    domains(page, comparison);
    notes(page, comparison);
    return page;
  }

  /** The figures that a reader looks for first. */
  public static void headline(ReportPage page, AdapterComparison comparison) {
    List<ReportPage.Figure> figures = new ArrayList<>();
    AdapterComparison.Row best = comparison.rows().get(0);
    figures.add(
        new ReportPage.Figure(
            "Best adapter", ReportPage.percent(best.report().accuracy()), best.adapter()));
    comparison.rows().stream()
        .filter(row -> row.adapter().equals("source"))
        .findFirst()
        .ifPresent(
            source -> {
              figures.add(
                  new ReportPage.Figure(
                      "Source model",
                      ReportPage.percent(source.report().accuracy()),
                      "mean accuracy over the domains, without adaptation"));
              long worse =
                  comparison.rows().stream()
                      .filter(row -> row.report().accuracy() < source.report().accuracy())
                      .count();
              figures.add(
                  new ReportPage.Figure(
                      "Adapters that hurt",
                      worse + " of " + (comparison.rows().size() - 1),
                      "less accurate than the source model on this stream"));
            });
    page.figures(figures);
  }

  /** Accuracy of each adapter, and over time. */
  public static void accuracy(ReportPage page, AdapterComparison comparison) {
    page.section(
        "Does adapting help?",
        "Accuracy is the plain mean over the domains of the stream; labels were used for this alone.");
    Map<String, Double> bars = new LinkedHashMap<>();
    comparison.rows().forEach(row -> bars.put(row.adapter(), row.report().accuracy()));
    List<Chart.Line> lines =
        comparison.rows().stream()
            .filter(row -> row.report().curve().size() > 1)
            .limit(CURVES)
            .map(AdapterReport::curve)
            .toList();
    Chart all = Chart.bars("Accuracy by adapter", "The longer, the better.", "accuracy", bars);
    if (lines.isEmpty()) {
      page.charts(all);
    } else {
      page.charts(
          all,
          Chart.lines(
              "Accuracy over time",
              "Over the rows since the last point. A curve that falls to the bottom is a collapse."
                  + (comparison.rows().size() > CURVES ? " The best " + CURVES + "." : ""),
              "rows of the stream",
              "accuracy",
              lines.toArray(new Chart.Line[0])));
    }
  }

  private static Chart.Line curve(AdapterComparison.Row row) {
    List<StreamReport.Point> points = row.report().curve();
    return new Chart.Line(
        row.adapter(),
        points.stream().mapToDouble(StreamReport.Point::rows).toArray(),
        points.stream().mapToDouble(StreamReport.Point::accuracy).toArray());
  }

  /** What each adapter costs. */
  public static void cost(ReportPage page, AdapterComparison comparison) {
    page.section(
        "What does it cost?",
        "Time of predicting and adapting on this machine, rows that gradients were computed for, and"
            + " values that were moved. Memory is how much the process grew at most, garbage"
            + " included.");
    List<List<String>> rows = new ArrayList<>();
    for (AdapterComparison.Row row : comparison.rows()) {
      StreamReport report = row.report();
      rows.add(
          List.of(
              row.adapter(),
              ReportPage.percent(report.accuracy()),
              ReportPage.percent(report.total().ece()),
              ReportPage.number(report.total().nll()),
              String.format(Locale.ROOT, "%.3f ms", report.total().millisPerRow()),
              count(row.backward()),
              count(row.parameters()),
              String.format(Locale.ROOT, "%.0f MB", row.peakMegabytes()),
              Long.toString(row.resets())));
    }
    page.table(
        "ECE: expected calibration error over the whole stream. NLL: negative log-likelihood.",
        List.of(
            "adapter",
            "accuracy",
            "ECE",
            "NLL",
            "time a row",
            "rows for gradients",
            "values moved",
            "memory",
            "restarts"),
        rows);
  }

  /** Accuracy by domain; of a long stream several tables. */
  public static void domains(ReportPage page, AdapterComparison comparison) {
    List<StreamReport.Figures> domains = comparison.rows().get(0).report().domains();
    page.section("Domain by domain", "Accuracy on each domain, over all rounds.");
    for (int from = 0; from < domains.size(); from += COLUMNS) {
      int to = Math.min(domains.size(), from + COLUMNS);
      List<String> header = new ArrayList<>(List.of("adapter"));
      domains.subList(from, to).forEach(domain -> header.add(domain.name().replace('_', ' ')));
      List<List<String>> rows = new ArrayList<>();
      for (AdapterComparison.Row row : comparison.rows()) {
        List<String> cells = new ArrayList<>(List.of(row.adapter()));
        row.report()
            .domains()
            .subList(from, to)
            .forEach(domain -> cells.add(ReportPage.percent(domain.accuracy())));
        rows.add(cells);
      }
      page.table("", header, rows);
    }
    int rounds = comparison.rows().get(0).report().rounds().size();
    if (rounds > 1) {
      page.charts(
          Chart.lines(
              "Round by round",
              "Mean accuracy over the domains, each time they come again.",
              "round",
              "accuracy",
              comparison.rows().stream()
                  .limit(CURVES)
                  .map(
                      row ->
                          new Chart.Line(
                              row.adapter(),
                              IntStream.range(0, rounds).mapToDouble(r -> r + 1).toArray(),
                              IntStream.range(0, rounds)
                                  .mapToDouble(row.report()::accuracy)
                                  .toArray()))
                  .toArray(Chart.Line[]::new)));
    }
  }

  private static void notes(ReportPage page, AdapterComparison comparison) {
    List<List<String>> events = new ArrayList<>();
    for (AdapterComparison.Row row : comparison.rows()) {
      row.events().forEach(event -> events.add(List.of(row.adapter(), event)));
    }
    if (!events.isEmpty()) {
      page.section("The safety net", "Where an adapter was caught and rolled back.");
      page.table("", List.of("adapter", "what happened"), events);
    }
    if (!comparison.left().isEmpty()) {
      page.section("Left out", "Adapters that this model or these data cannot serve.");
      page.table(
          "",
          List.of("adapter", "reason"),
          comparison.left().stream().map(l -> List.of(l.adapter(), l.reason())).toList());
    }
  }

  private static String count(long n) {
    return String.format(Locale.ROOT, "%,d", n);
  }
}
