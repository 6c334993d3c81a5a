package org.outrigger.cli;

import static org.outrigger.evaluate.report.ReportPage.percent;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.AdapterReport;
import org.outrigger.guard.GuardReport;

/** The demo's page. */
final class DemoReport {
  private DemoReport() {}

  static ReportPage of(Demo.Result result) {
    ReportPage page =
        new ReportPage(
            "A guarded classifier on real data",
            "A ResNet-8 trained on "
                + String.format(Locale.ROOT, "%,d", result.trainRows())
                + " Fashion-MNIST images, and a guard around it. Everything below is measured on"
                + " images that neither has seen.");
    GuardReport.headline(page, result.evaluation());
    GuardReport.unknown(page, result.evaluation());
    GuardReport.comparison(page, result.comparison());
    page.section(
        "Classes it was never shown",
        "A second model was trained without "
            + String.join(" and ", result.heldOutClasses())
            + ". Near unknowns such as these are harder to tell than digits or textures.");
    Map<String, Double> means = new LinkedHashMap<>();
    result.heldOut().rows().forEach(row -> means.put(row.slug(), row.meanAuroc()));
    Map<String, Double> rates = new LinkedHashMap<>();
    result.heldOut().rows().forEach(row -> rates.put(row.slug(), row.meanFpr()));
    page.charts(
        Chart.bars("AUROC on unseen classes", "0.5 is chance, 1 is perfect.", "AUROC", means),
        Chart.bars(
            "FPR95 on unseen classes",
            "Unseen classes accepted where 95 % of the known are: smaller is better.",
            "FPR95",
            rates));
    corruptions(page, result.severities());
    AdapterReport.accuracy(page, result.adapters());
    AdapterReport.cost(page, result.adapters());
    GuardReport.predictions(page, result.evaluation());
    GuardReport.pictures(page, result.evaluation());
    GuardReport.provenance(page, result.evaluation().guard());
    page.section("Run it yourself", "");
    page.code("./outrigger demo --seed " + result.seed());
    return page;
  }

  private static void corruptions(ReportPage page, List<Demo.Severity> severities) {
    page.section(
        "What happens when inputs get worse?",
        "The 15 corruptions of CIFAR-C and ImageNet-C, at five severities, on the first "
            + severities.get(0).rows()
            + " of the test images. A guard is of use if it flags more where the model is right less"
            + " often.");
    page.charts(
        Chart.lines(
            "Accuracy and what the guard flags",
            "Mean over the corruptions; severity 0 is clean.",
            "severity",
            "share",
            line("accuracy", severities, Demo.Severity::accuracy),
            line("flagged unknown", severities, Demo.Severity::flagged),
            line("mean probability", severities, Demo.Severity::probability)),
        Chart.lines(
            "Accuracy by corruption",
            "Each line is one corruption.",
            "severity",
            "accuracy",
            byCorruption(severities)));
    List<List<String>> rows = new ArrayList<>();
    for (Demo.Severity each : severities) {
      rows.add(
          List.of(
              Integer.toString(each.severity()),
              percent(each.accuracy()),
              percent(each.flagged()),
              percent(each.probability()),
              percent(each.ece())));
    }
    page.table(
        "", List.of("severity", "accuracy", "flagged unknown", "mean probability", "ECE"), rows);
  }

  private static Chart.Line line(
      String name, List<Demo.Severity> severities, ToDoubleFunction<Demo.Severity> value) {
    return new Chart.Line(
        name,
        severities.stream().mapToDouble(Demo.Severity::severity).toArray(),
        severities.stream().mapToDouble(value).toArray());
  }

  private static Chart.Line[] byCorruption(List<Demo.Severity> severities) {
    List<Demo.Severity> corrupted = severities.subList(1, severities.size());
    return corrupted.get(0).byCorruption().keySet().stream()
        .map(
            name ->
                line(
                    name.replace('_', ' '),
                    corrupted,
                    each -> each.byCorruption().getOrDefault(name, Double.NaN)))
        .toArray(Chart.Line[]::new);
  }
}
