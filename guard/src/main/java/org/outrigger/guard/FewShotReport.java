package org.outrigger.guard;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.outrigger.adapt.FewShotResult;
import org.outrigger.adapt.FewShotResult.Point;
import org.outrigger.core.method.Methods;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.Chart.Line;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.evaluate.report.ReportPage.Figure;

/** A few-shot adaptation as a page: what it gained, and why this checkpoint was chosen. */
public final class FewShotReport {
  private FewShotReport() {}

  /** Draws the curve, the accuracies and the settings. */
  public static ReportPage of(FewShotResult result, String target) {
    Point selected = result.selected();
    ReportPage page =
        new ReportPage(
            "What did a few labelled rows change?",
            result.source().name() + ", adapted to " + target);
    List<Figure> figures = new ArrayList<>();
    result
        .tests()
        .forEach(
            (name, test) ->
                figures.add(
                    new Figure(
                        "Accuracy, " + name,
                        ReportPage.percent(test.accuracy()),
                        "balanced over classes: " + ReportPage.percent(test.balanced()))));
    figures.add(
        new Figure(
            "Selected step",
            Long.toString(selected.step()),
            "validation loss " + ReportPage.number(selected.loss())));
    page.figures(figures);
    curve(page, result);
    rows(page, result);
    List<List<String>> settings = new ArrayList<>();
    Methods.values(result.settings())
        .forEach((name, value) -> settings.add(List.of(name, String.valueOf(value))));
    page.section("Settings", "").table("", List.of("name", "value"), settings);
    return page;
  }

  private static void curve(ReportPage page, FewShotResult result) {
    List<Point> curve = result.curve();
    double[] steps = curve.stream().mapToDouble(Point::step).toArray();
    page.section(
            "How the checkpoint was chosen",
            "The one with the lowest loss on the validation rows, of equal ones the earliest. With one"
                + " row a class this loss is coarse. The test rows chose nothing.")
        .charts(
            Chart.lines(
                "Loss",
                "Of the shots in each step's batch, and of the validation rows.",
                "step",
                "cross-entropy",
                new Line(
                    "validation rows", steps, curve.stream().mapToDouble(Point::loss).toArray()),
                new Line("shots", steps, curve.stream().mapToDouble(Point::trainLoss).toArray())),
            Chart.lines(
                "Accuracy on the validation rows",
                "One row a class.",
                "step",
                "accuracy",
                new Line(
                    "validation rows",
                    steps,
                    curve.stream().mapToDouble(Point::accuracy).toArray())));
  }

  private static void rows(ReportPage page, FewShotResult result) {
    Map<String, List<Integer>> used = new LinkedHashMap<>();
    used.put("learned from", result.shots().train());
    used.put("chose the checkpoint", result.shots().validation());
    List<List<String>> table = new ArrayList<>();
    used.forEach(
        (what, rows) ->
            table.add(
                List.of(
                    what,
                    String.format(Locale.ROOT, "%,d", rows.size()),
                    String.join(", ", rows.stream().map(String::valueOf).toList()))));
    table.add(
        List.of("measured", String.format(Locale.ROOT, "%,d", result.shots().test().size()), "-"));
    page.section("Which rows", "Positions in the data, from 0.")
        .table("", List.of("use", "rows", "positions"), table);
  }
}
