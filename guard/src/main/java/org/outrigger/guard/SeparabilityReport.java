package org.outrigger.guard;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.metric.Interval;
import org.outrigger.detect.Separability;
import org.outrigger.detect.Separability.Kind;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.evaluate.report.ReportPage.Figure;

/** {@link Separability} as a page: how far a backbone and its probe can be trusted. */
public final class SeparabilityReport {
  private SeparabilityReport() {}

  /**
   * Draws the figures of one backbone, and the differences to another where one is given.
   *
   * @param against another backbone, measured on the same data
   */
  public static ReportPage of(Separability measured, @Nullable Separability against) {
    ReportPage page =
        new ReportPage(
            "How far can this backbone be trusted?",
            measured.backbone() + ", known inputs: " + measured.known());
    headline(page, measured);
    page.section("What follows", "");
    measured.kinds().forEach(kind -> page.text(kind.name() + ": " + kind.advice()));
    kinds(page, measured);
    if (against != null) {
      differences(page, measured, against);
    }
    return page;
  }

  private static void headline(ReportPage page, Separability measured) {
    String judge = measured.ownHead() ? "the model's own last layer" : "a linear probe";
    page.figures(
        List.of(
            new Figure(
                "Accuracy on known inputs",
                ReportPage.percent(measured.accuracy()),
                judge + "; " + measured.testRows() + " rows"),
            least(measured, "Lowest AUROC of MSP", kind -> kind.msp().metrics().auroc()),
            least(measured, "Lowest AUROC of the distance", kind -> kind.knn().metrics().auroc()),
            new Figure(
                "Scores of the probe",
                measured.unsafe() ? "unsafe" : "not flagged",
                measured.unsafe() ? Separability.UNSAFE : "for the inputs given here")));
  }

  private static Figure least(Separability measured, String label, ToDoubleFunction<Kind> value) {
    Kind worst = measured.kinds().stream().min(Comparator.comparingDouble(value)).orElseThrow();
    return new Figure(label, ReportPage.number(value.applyAsDouble(worst)), worst.name());
  }

  private static void kinds(ReportPage page, Separability measured) {
    page.section(
        "Which score finds which unknown inputs?",
        "Scores of the probe (MSP, energy) look at the boundary between known classes; the distance"
            + " to the nearest known feature does not. Accepted: unknown inputs that are more"
            + " confident than the 5 % least confident known ones. Separable: accuracy of a linear"
            + " classifier that was told which inputs are unknown; 50 % is inseparable. Where that is"
            + " high and the probe fails, the separating direction exists and the probe does not use"
            + " it. That is no proof of a cause.");
    Map<String, Double> bars = new LinkedHashMap<>();
    List<List<String>> rows = new ArrayList<>();
    for (Kind kind : measured.kinds()) {
      bars.put(kind.name() + ", MSP", kind.msp().metrics().auroc());
      bars.put(kind.name() + ", energy", kind.energy().metrics().auroc());
      bars.put(kind.name() + ", distance", kind.knn().metrics().auroc());
      rows.add(
          List.of(
              kind.name(),
              Long.toString(kind.rows()),
              ReportPage.percent(kind.separability().estimate()),
              ReportPage.percent(kind.accepted()),
              auroc(kind.msp().auroc()),
              auroc(kind.energy().auroc()),
              auroc(kind.knn().auroc()),
              ReportPage.percent(kind.energy().metrics().fprIdPositive()),
              ReportPage.percent(kind.knn().metrics().fprIdPositive()),
              kind.unsafe() ? "unsafe" : kind.inverted() ? "inverted" : "-"));
    }
    page.charts(
        Chart.bars(
            "AUROC",
            "0.5 is chance; below it, unknown inputs rank as more familiar than known ones.",
            "AUROC",
            bars));
    page.table(
        "FPR95: unknown inputs accepted where 95 % of the known ones are; that of MSP is the share"
            + " accepted.",
        List.of(
            "unknown inputs",
            "rows",
            "separable",
            "accepted by MSP",
            "AUROC of MSP [95 % interval]",
            "AUROC of energy",
            "AUROC of the distance",
            "FPR95 of energy",
            "FPR95 of the distance",
            "probe"),
        rows);
  }

  private static void differences(ReportPage page, Separability measured, Separability against) {
    page.section(
        "Compared with " + against.backbone(),
        "This backbone minus the other on the same data; above 0, this one is better. Accuracy on"
            + " known inputs: "
            + signed(measured.accuracy() - against.accuracy())
            + ".");
    List<List<String>> rows = new ArrayList<>();
    for (Separability.Difference each : measured.minus(against)) {
      rows.add(
          List.of(
              each.name(),
              signed(each.separability()),
              signed(each.msp()),
              signed(each.energy()),
              signed(each.knn())));
    }
    page.table(
        "",
        List.of("inputs", "separable", "AUROC of MSP", "AUROC of energy", "AUROC of the distance"),
        rows);
  }

  private static String auroc(Interval value) {
    return String.format(
        Locale.ROOT, "%.3f [%.3f, %.3f]", value.estimate(), value.low(), value.high());
  }

  private static String signed(double value) {
    return String.format(Locale.ROOT, "%+.3f", value);
  }
}
