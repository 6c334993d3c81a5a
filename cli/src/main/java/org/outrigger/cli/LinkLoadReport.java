package org.outrigger.cli;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.stream.liquid.LinkComparison;

/** The page about forecasts through a failure. */
record LinkLoadReport(StreamLinkLoadCommand.LinkLog log, LinkComparison compared, int period) {
  static final List<String> HEADER =
      List.of(
          "forecaster",
          "before",
          "until trained again",
          "later",
          "since failure",
          "MAPE",
          "converged after");

  private static final int MOVING = 12;

  static List<String> cells(LinkComparison.Row row) {
    return List.of(
        row.name(),
        ReportPage.number(row.before()),
        ReportPage.number(row.first()),
        ReportPage.number(row.later()),
        ReportPage.number(row.overall()),
        ReportPage.percent(row.mape()),
        Double.isFinite(row.convergence())
            ? String.format(Locale.ROOT, "%.1f", row.convergence())
            : "-");
  }

  ReportPage page() {
    LinkComparison.Row liquid = compared.rows().get(0);
    LinkComparison.Row trained = compared.row("incremental");
    LinkComparison.Row hybrid = compared.row(LinkComparison.HYBRID);
    return new ReportPage("Forecasts through a failure", log.name() + ". " + log.story())
        .section(
            "Since the failure",
            "Root mean squared error of forecasts "
                + compared.horizon()
                + " steps ahead, in shares of a link's largest load in the training.")
        .figures(
            List.of(
                new ReportPage.Figure(
                    liquid.name(), ReportPage.number(liquid.first()), "until trained again"),
                new ReportPage.Figure(
                    trained.name(), ReportPage.number(trained.first()), "until trained again"),
                new ReportPage.Figure(
                    "hybrid", ReportPage.number(hybrid.overall()), "since the failure")))
        .charts(loads(), errors())
        .table(
            "By when a forecast is made; converged: steps until the error over 12 steps stays below"
                + " 1.5 times that before the failure.",
            HEADER,
            compared.rows().stream().map(LinkLoadReport::cells).toList());
  }

  /** The link that changed most, with what was forecast of it. */
  private Chart loads() {
    int link =
        IntStream.range(0, compared.truth().length)
            .boxed()
            .max(java.util.Comparator.comparingDouble(this::moved))
            .orElseThrow();
    int from = Math.max(0, compared.failure() - period);
    int to = Math.min(compared.truth()[0].length, compared.failure() + 2 * period);
    double[] x = IntStream.range(from, to).mapToDouble(t -> t - compared.failure()).toArray();
    Chart.Line[] lines =
        java.util.stream.Stream.concat(
                java.util.stream.Stream.of(
                    new Chart.Line(
                        "load", x, Arrays.copyOfRange(compared.truth()[link], from, to))),
                compared.rows().stream()
                    .filter(row -> !row.name().equals(LinkComparison.HYBRID))
                    .filter(row -> !row.name().equals(LinkComparison.PERSISTENCE))
                    .map(row -> new Chart.Line(row.name(), x, shifted(row, link, from, to))))
            .toArray(Chart.Line[]::new);
    return Chart.lines(
        "Link " + log.links().get(link),
        "The link that changed most. The failure is at 0; a forecast is drawn where it was meant.",
        "steps since the failure",
        "load",
        lines);
  }

  private double moved(int link) {
    double[] truth = compared.truth()[link];
    int failure = compared.failure();
    double before = Arrays.stream(truth, 0, failure).average().orElse(0);
    double after = Arrays.stream(truth, failure, truth.length).average().orElse(0);
    return Math.abs(after - before);
  }

  /** Forecasts at the steps that they are about. */
  private double[] shifted(LinkComparison.Row row, int link, int from, int to) {
    return IntStream.range(from, to)
        .mapToDouble(
            t ->
                t < compared.horizon() ? Double.NaN : row.forecasts()[link][t - compared.horizon()])
        .toArray();
  }

  private Chart errors() {
    int steps = compared.truth()[0].length - compared.horizon();
    double[] x = IntStream.range(MOVING, steps).mapToDouble(t -> t - compared.failure()).toArray();
    Chart.Line[] lines =
        compared.rows().stream()
            .map(
                row ->
                    new Chart.Line(
                        row.name(),
                        x,
                        IntStream.range(MOVING, steps).mapToDouble(t -> moving(row, t)).toArray()))
            .toArray(Chart.Line[]::new);
    return Chart.lines(
        "Error over the last " + MOVING + " steps",
        "Root mean squared over all links, by when a forecast is made.",
        "steps since the failure",
        "error",
        lines);
  }

  private double moving(LinkComparison.Row row, int step) {
    double sum = 0;
    int count = 0;
    for (int link = 0; link < compared.truth().length; link++) {
      for (int t = step - MOVING + 1; t <= step; t++) {
        double error = row.forecasts()[link][t] - compared.truth()[link][t + compared.horizon()];
        sum += error * error;
        count++;
      }
    }
    return Math.sqrt(sum / count);
  }
}
