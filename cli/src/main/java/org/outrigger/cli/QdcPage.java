package org.outrigger.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.data.QdcReport;
import org.outrigger.select.data.QdcReport.Measure;
import org.outrigger.select.data.TradeOffs.FrontierPoint;

/** Shows what was measured of data sets, as a table and as a page. */
final class QdcPage {
  private QdcPage() {}

  private static final String VENDI =
      "The Vendi score and the mean pairwise distance follow the few largest directions, and"
          + " near-duplicates barely move them: read the distance to the nearest neighbour, or the"
          + " coverage of a reference, beside them. High diversity can be noise: read quality too.";

  /** The measures, one a line. */
  static TextTable table(QdcReport report) {
    TextTable table = new TextTable("family", "measure", "value", "rows", "settings");
    for (Measure m : report.measures()) {
      table.row(family(m), m.name(), number(m.value()), Integer.toString(m.n()), m.settings());
    }
    return table;
  }

  private static String family(Measure m) {
    return m.family().name().toLowerCase(Locale.ROOT);
  }

  static String number(double value) {
    return String.format(Locale.ROOT, Math.abs(value) >= 100 ? "%.1f" : "%.4f", value);
  }

  /** A page about one data set. */
  static ReportPage of(QdcReport report, List<FrontierPoint> frontier) {
    ReportPage page =
        new ReportPage(
            "Quality, diversity, complexity: " + report.name(),
            report.n()
                + " rows"
                + (report.embedding().isEmpty() ? "" : ", embedded by " + report.embedding())
                + ".");
    page.figures(headline(report));
    for (QdcReport.Family family : QdcReport.Family.values()) {
      List<List<String>> rows =
          report.measures().stream()
              .filter(m -> m.family() == family)
              .map(
                  m ->
                      List.of(
                          m.name(), number(m.value()), m.larger() ? "more" : "less", m.settings()))
              .toList();
      if (!rows.isEmpty()) {
        String name = family.name().charAt(0) + family.name().substring(1).toLowerCase(Locale.ROOT);
        page.section(name, family == QdcReport.Family.DIVERSITY ? VENDI : "");
        page.table("", List.of("measure", "value", "larger means", "settings"), rows);
      }
    }
    if (frontier.size() > 1) {
      page.section(
          "What does more quality cost in diversity?",
          "As the quality that is asked for rises by deciles; every point is measured on "
              + frontier.get(0).n()
              + " rows.");
      page.charts(frontier("Distance to the nearest neighbour", frontier, false));
      if (Double.isFinite(frontier.get(0).coverage())) {
        page.charts(frontier("Coverage of the reference", frontier, true));
      }
    }
    return page;
  }

  private static Chart frontier(String title, List<FrontierPoint> frontier, boolean coverage) {
    return Chart.lines(
        title,
        "To the upper right is better. A steep fall: the best rows are much alike.",
        "mean quality",
        title.toLowerCase(Locale.ROOT),
        new Chart.Line(
            title,
            frontier.stream().mapToDouble(FrontierPoint::quality).toArray(),
            frontier.stream().mapToDouble(p -> coverage ? p.coverage() : p.nearest()).toArray()));
  }

  private static List<ReportPage.Figure> headline(QdcReport report) {
    List<ReportPage.Figure> figures = new ArrayList<>();
    Map<String, String> shown = new LinkedHashMap<>();
    shown.put(Qdc.QUALITY, "mean, 0 to 1");
    shown.put(Qdc.NEAREST, "mean; 0: all have a duplicate");
    shown.put(Qdc.COVERAGE, "of the reference, 0 to 1");
    shown.put(Qdc.LENGTH, "tokens");
    shown.forEach(
        (name, note) ->
            report
                .find(name)
                .ifPresent(m -> figures.add(new ReportPage.Figure(name, number(m.value()), note))));
    return figures;
  }
}
