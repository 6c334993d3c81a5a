package org.outrigger.guard;

import static org.outrigger.evaluate.report.ReportPage.number;
import static org.outrigger.evaluate.report.ReportPage.percent;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.metric.ConfusionMatrix;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.ReliabilityDiagram;
import org.outrigger.core.metric.Roc;
import org.outrigger.core.metric.ScoreTable;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;

/** Draws what {@link GuardEvaluation} and {@link DetectorComparison} measured. */
public final class GuardReport {
  private GuardReport() {}

  /** A page about one guard. */
  public static ReportPage of(GuardEvaluation evaluation) {
    GuardInfo guard = evaluation.guard();
    ReportPage page =
        new ReportPage(
            "Guard report: " + guard.model(),
            "Fitted on "
                + guard.data()
                + " ("
                + count(guard.rows())
                + " rows) with "
                + methods(guard)
                + "; measured on data it has not seen.");
    headline(page, evaluation);
    unknown(page, evaluation);
    predictions(page, evaluation);
    pictures(page, evaluation);
    skipped(page, evaluation);
    provenance(page, guard);
    return page;
  }

  /** The figures that a reader looks for first. */
  public static void headline(ReportPage page, GuardEvaluation evaluation) {
    List<ReportPage.Figure> figures = new ArrayList<>();
    GuardEvaluation.Known known = evaluation.known();
    GuardEvaluation.Predictions predictions = known.predictions();
    if (predictions != null) {
      figures.add(
          new ReportPage.Figure(
              "Accuracy on known inputs",
              percent(predictions.accuracy().estimate()),
              interval(predictions.accuracy(), true)));
    }
    figures.add(
        new ReportPage.Figure(
            "Known inputs accepted",
            percent(known.accepted().estimate()),
            "asked for "
                + percent(evaluation.guard().threshold().accept())
                + "; "
                + interval(known.accepted(), true)));
    if (!evaluation.unknown().isEmpty()) {
      double flagged =
          evaluation.unknown().stream()
              .mapToDouble(kind -> kind.flagged().estimate())
              .average()
              .orElse(Double.NaN);
      figures.add(
          new ReportPage.Figure(
              "Unknown inputs flagged",
              percent(flagged),
              evaluation.unknown().size() == 1
                  ? "of " + evaluation.unknown().get(0).name()
                  : "mean over " + evaluation.unknown().size() + " kinds"));
    }
    if (predictions != null) {
      figures.add(
          new ReportPage.Figure(
              "Calibration error (ECE)",
              percent(predictions.after().ece()),
              "was " + percent(predictions.before().ece()) + " before calibration"));
    }
    page.figures(figures);
  }

  /** Scores, ROC curves and the table of unknown inputs. */
  public static void unknown(ReportPage page, GuardEvaluation evaluation) {
    if (evaluation.unknown().isEmpty()) {
      return;
    }
    page.section(
        "Does the model know this input?",
        "The guard gives each input a score; larger is less familiar. Above the threshold the input"
            + " is called unknown.");
    Map<String, double[]> groups = new LinkedHashMap<>();
    groups.put(evaluation.known().name() + " (known)", evaluation.known().scores());
    List<Chart.Line> curves = new ArrayList<>();
    List<List<String>> rows = new ArrayList<>();
    for (GuardEvaluation.Unknown kind : evaluation.unknown()) {
      groups.put(kind.name(), kind.scores());
      curves.add(roc(kind.name(), evaluation.known().scores(), kind.scores()));
      rows.add(
          List.of(
              kind.name(),
              count(kind.rows()),
              percent(kind.flagged().estimate()),
              number(kind.auroc().estimate()) + " " + interval(kind.auroc(), false),
              percent(kind.metrics().fprIdPositive()),
              percent(kind.metrics().fprOodPositive()),
              number(kind.metrics().auprOut())));
    }
    page.charts(
        Chart.histogram(
            "Scores",
            "The further apart the shapes, the better the guard tells them apart. The extreme half"
                + " per cent is counted in the end bins.",
            "score",
            groups,
            evaluation.guard().threshold().value()),
        Chart.roc(
            "ROC curves",
            "Each threshold is a point; the nearer to the upper left corner, the better.",
            curves.toArray(new Chart.Line[0])));
    page.table(
        "FPR95, known positive: unknown inputs accepted where 95 % of the known ones are (most"
            + " papers). FPR95, unknown positive: known inputs flagged where 95 % of the unknown"
            + " ones are (OpenOOD).",
        List.of(
            "unknown inputs",
            "rows",
            "flagged",
            "AUROC [95 % interval]",
            "FPR95, known positive",
            "FPR95, unknown positive",
            "AUPR-out"),
        rows);
  }

  static Chart.Line roc(String name, double[] known, double[] unknown) {
    List<Roc.Point> points = Roc.points(ScoreTable.of(known, unknown), 200);
    return new Chart.Line(
        name,
        points.stream().mapToDouble(Roc.Point::falsePositiveRate).toArray(),
        points.stream().mapToDouble(Roc.Point::truePositiveRate).toArray());
  }

  /** Calibration, risk against coverage, and the classes. */
  public static void predictions(ReportPage page, GuardEvaluation evaluation) {
    GuardEvaluation.Predictions predictions = evaluation.known().predictions();
    if (predictions == null) {
      return;
    }
    page.section(
        "What do its probabilities mean?",
        "Of the inputs predicted with 80 % confidence, 80 % should be right.");
    page.charts(
        reliability("Before calibration", predictions.before()),
        reliability("After calibration", predictions.after()),
        risk(predictions));
    labelSets(page, predictions.labelSets());
    page.section("Class by class", "Recall: how many inputs of the class were recognised.");
    ConfusionMatrix confusion = predictions.confusion();
    List<List<String>> rows = new ArrayList<>();
    List<String> names = evaluation.guard().classNames();
    // A page of a thousand rows helps nobody: with many classes the weakest are shown.
    List<Integer> classes =
        java.util.stream.IntStream.range(0, confusion.classes())
            .boxed()
            .sorted(java.util.Comparator.comparingDouble(c -> sortable(confusion.recall(c))))
            .limit(20)
            .toList();
    for (int c : names.size() <= 20 ? range(names.size()) : classes) {
      rows.add(
          List.of(
              names.get(c),
              percent(confusion.recall(c)),
              percent(confusion.precision(c)),
              number(confusion.f1(c))));
    }
    page.table(
        names.size() <= 20 ? "" : "The 20 classes with the lowest recall of " + names.size() + ".",
        List.of("class", "recall", "precision", "F1"),
        rows);
  }

  private static void labelSets(ReportPage page, GuardEvaluation.@Nullable LabelSetFigures sets) {
    if (sets == null) {
      return;
    }
    page.section("Which labels are possible?", sets.promise());
    page.figures(
        List.of(
            new ReportPage.Figure(
                "Sets that hold the true label",
                percent(sets.coverage().estimate()),
                "promised " + percent(sets.promised()) + "; " + interval(sets.coverage(), true)),
            new ReportPage.Figure(
                "Labels a set",
                number(sets.meanSize()),
                percent(sets.empty()) + " of the sets are empty"),
            new ReportPage.Figure("Sets of one label", percent(sets.certain()), "")));
    Map<String, Double> sizes = new LinkedHashMap<>();
    long total = java.util.Arrays.stream(sets.sizes()).sum();
    int last = sets.sizes().length - 1;
    while (last > 1 && sets.sizes()[last] == 0) {
      last--;
    }
    for (int size = 0; size <= Math.min(last, 20); size++) {
      sizes.put(Integer.toString(size), sets.sizes()[size] / (double) total);
    }
    page.charts(
        Chart.bars(
            "Sizes of the sets",
            "Large sets are inputs that the model cannot decide; empty ones fit no class.",
            "share of inputs",
            sizes));
  }

  private static double sortable(double value) {
    return Double.isNaN(value) ? 2 : value;
  }

  private static List<Integer> range(int n) {
    return java.util.stream.IntStream.range(0, n).boxed().toList();
  }

  private static Chart reliability(String title, EceAccumulator accumulator) {
    ReliabilityDiagram diagram = accumulator.diagram();
    double[] share = new double[diagram.counts().length];
    for (int b = 0; b < share.length; b++) {
      share[b] = (double) diagram.counts()[b] / accumulator.count();
    }
    return Chart.reliability(
        title,
        "Expected calibration error "
            + percent(accumulator.ece())
            + ". Points below the diagonal are over-confident.",
        diagram.confidence(),
        diagram.accuracy(),
        share);
  }

  private static Chart risk(GuardEvaluation.Predictions predictions) {
    int points = 60;
    double[] coverage = new double[points];
    double[] risk = new double[points];
    for (int i = 0; i < points; i++) {
      coverage[i] = (i + 1.0) / points;
      risk[i] = predictions.risk().riskAt(coverage[i]);
    }
    return Chart.lines(
        "Risk against coverage",
        "The error rate if only the most confident share of inputs is answered (AURC "
            + number(predictions.risk().aurc())
            + ").",
        "share of inputs answered",
        "error rate",
        new Chart.Line("error rate", coverage, risk));
  }

  /** Galleries, if the inputs are images. */
  public static void pictures(ReportPage page, GuardEvaluation evaluation) {
    GuardEvaluation.Known known = evaluation.known();
    if (known.unfamiliar().isEmpty()) {
      return;
    }
    page.section(
        "Look at them", "Each picture with the class that the model takes it for, and its score.");
    page.gallery("Known inputs, most familiar", known.familiar());
    page.gallery("Known inputs, least familiar", known.unfamiliar());
    for (GuardEvaluation.Unknown kind : evaluation.unknown()) {
      page.gallery(kind.name() + ", most easily taken for known", kind.familiar());
      page.gallery(kind.name() + ", least familiar", kind.unfamiliar());
    }
  }

  private static void skipped(ReportPage page, GuardEvaluation evaluation) {
    List<List<String>> rows = new ArrayList<>();
    evaluation
        .known()
        .skipped()
        .forEach(s -> rows.add(List.of(evaluation.known().name(), s.id(), s.reason())));
    for (GuardEvaluation.Unknown kind : evaluation.unknown()) {
      kind.skipped().forEach(s -> rows.add(List.of(kind.name(), s.id(), s.reason())));
    }
    if (!rows.isEmpty()) {
      page.section(
          "Could not be read",
          count(rows.size()) + " rows were left out; the first 50 are listed.");
      page.table("", List.of("data", "row", "why"), rows.subList(0, Math.min(50, rows.size())));
    }
  }

  /** Where the guard comes from. */
  public static void provenance(ReportPage page, GuardInfo guard) {
    page.section("Provenance", "Saved with the guard, so that its figures can be traced.");
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("model", guard.model()));
    if (guard.modelSha256() != null) {
      rows.add(List.of("model SHA-256", guard.modelSha256()));
    }
    rows.add(List.of("validation data", guard.data() + ", " + count(guard.rows()) + " rows"));
    rows.add(List.of("data SHA-256", guard.dataSha256()));
    rows.add(
        List.of(
            "split",
            count(guard.fitRows())
                + " rows fitted, "
                + count(guard.holdOutRows())
                + " held out, seed "
                + guard.seed()));
    rows.add(List.of("methods", methods(guard)));
    if (guard.selection() != null) {
      rows.add(List.of("chosen because", guard.selection()));
    }
    Threshold threshold = guard.threshold();
    rows.add(
        List.of(
            "threshold",
            String.format(
                Locale.ROOT,
                "%.6g; accepts %s of known inputs, 95 %% interval %s to %s",
                threshold.value(),
                percent(threshold.accepted()),
                percent(threshold.lower()),
                percent(threshold.upper()))));
    rows.add(List.of("created", guard.created()));
    rows.add(
        List.of(
            "versions",
            guard.versions().entrySet().stream()
                .map(e -> e.getKey() + " " + e.getValue())
                .collect(Collectors.joining(", "))));
    page.table("", List.of("", ""), rows);
  }

  /** A page that compares detectors. */
  public static ReportPage of(DetectorComparison comparison, String model, String known) {
    ReportPage page =
        new ReportPage(
            "Detectors compared: " + model,
            "Known inputs: "
                + known
                + ". All figures are on data the detectors were not fitted on.");
    comparison(page, comparison);
    return page;
  }

  /** The table and charts of a comparison. */
  public static void comparison(ReportPage page, DetectorComparison comparison) {
    page.section(
        "Which detector?",
        "Best mean AUROC first. Intervals are 95 % bootstrap intervals; where they overlap, prefer"
            + " the cheaper detector.");
    if (!comparison.rows().isEmpty()) {
      List<String> header = new ArrayList<>(List.of("detector", "mean AUROC", "mean FPR95"));
      for (DetectorComparison.Kind kind : comparison.rows().get(0).kinds()) {
        header.add("AUROC " + kind.name());
      }
      header.addAll(List.of("fit", "score a row", "memory", "needs"));
      List<List<String>> rows = new ArrayList<>();
      Map<String, Double> means = new LinkedHashMap<>();
      for (DetectorComparison.Row row : comparison.rows()) {
        List<String> cells = new ArrayList<>();
        cells.add(row.slug());
        cells.add(number(row.meanAuroc()));
        cells.add(percent(row.meanFpr()));
        for (DetectorComparison.Kind kind : row.kinds()) {
          cells.add(number(kind.auroc().estimate()) + " " + interval(kind.auroc(), false));
        }
        cells.add(String.format(Locale.ROOT, "%.2f s", row.fitSeconds()));
        cells.add(String.format(Locale.ROOT, "%.1f µs", row.scoreMicros()));
        cells.add(String.format(Locale.ROOT, "%.2f MB", row.stateBytes() / 1e6));
        cells.add(
            row.needs().stream()
                .map(need -> need.name().toLowerCase(Locale.ROOT).replace('_', ' '))
                .collect(Collectors.joining(", ")));
        rows.add(cells);
        means.put(row.slug(), row.meanAuroc());
      }
      page.charts(
          Chart.bars("Mean AUROC", "0.5 is chance, 1 is perfect.", "AUROC", means),
          Chart.bars(
              "Mean FPR95",
              "Unknown inputs accepted where 95 % of the known are: smaller is better.",
              "FPR95",
              comparison.rows().stream()
                  .collect(
                      Collectors.toMap(
                          DetectorComparison.Row::slug,
                          DetectorComparison.Row::meanFpr,
                          (a, b) -> a,
                          LinkedHashMap::new))));
      page.table("", header, rows);
    }
    if (!comparison.left().isEmpty()) {
      page.table(
          "Left out",
          List.of("detector", "why"),
          comparison.left().stream().map(l -> List.of(l.slug(), l.reason())).toList());
    }
  }

  private static String methods(GuardInfo guard) {
    List<String> names = new ArrayList<>();
    guard.detectors().forEach(part -> names.add(name(part)));
    if (guard.calibrator() != null) {
      names.add(name(guard.calibrator()));
    }
    if (guard.labelSets() != null) {
      names.add(name(guard.labelSets()));
    }
    return String.join(", ", names);
  }

  private static String name(GuardInfo.Part part) {
    return part.settings().isEmpty()
        ? part.slug()
        : part.settings().entrySet().stream()
            .map(setting -> setting.getKey() + " = " + setting.getValue())
            .collect(Collectors.joining(", ", part.slug() + " (", ")"));
  }

  private static String interval(Interval interval, boolean share) {
    return share
        ? "95 % interval " + percent(interval.low()) + " to " + percent(interval.high())
        : "[" + number(interval.low()) + ", " + number(interval.high()) + "]";
  }

  private static String count(long n) {
    return String.format(Locale.ROOT, "%,d", n);
  }
}
