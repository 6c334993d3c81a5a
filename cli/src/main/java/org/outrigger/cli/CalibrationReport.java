package org.outrigger.cli;

import static org.outrigger.evaluate.report.ReportPage.number;
import static org.outrigger.evaluate.report.ReportPage.percent;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.outrigger.cli.CalibrationTrial.Measured;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.ReliabilityDiagram;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;

/**
 * What calibrators came to, as a table, a page and JSON.
 *
 * @param model the model's name
 * @param data the measured data sets; the first is like the one that calibrators were fitted on
 * @param classes their names
 * @param trials the first without calibration
 */
record CalibrationReport(
    String model, List<String> data, List<String> classes, List<CalibrationTrial> trials) {
  private static final List<String> HEADER =
      List.of(
          "method",
          "accuracy",
          "ECE",
          "ECE 95 %",
          "classwise ECE",
          "KS",
          "NLL",
          "Brier",
          "AURC",
          "parameters");

  private static final int MOST_CLASSES = 20;

  /** Prints a table for each data set and what they mean. */
  void print(PrintWriter out) {
    for (int s = 0; s < data.size(); s++) {
      out.println(title(s));
      TextTable table = new TextTable(HEADER.toArray(new String[0]));
      rows(s).forEach(table::row);
      table.print(out);
      out.println();
    }
    words().forEach(out::println);
  }

  private String title(int set) {
    return (set == 0 ? "Measured on " : "Shifted: ")
        + data.get(set)
        + ", "
        + trials.get(0).sets().get(set).metrics().count()
        + " rows";
  }

  private List<List<String>> rows(int set) {
    return trials.stream()
        .map(
            trial -> {
              Measured measured = trial.sets().get(set);
              CalibrationMetrics m = measured.metrics();
              return List.of(
                  trial.name(),
                  percent(m.accuracy()),
                  percent(m.ece()),
                  range(measured.ece()),
                  percent(m.classwiseEce()),
                  percent(m.ks()),
                  number(m.nll()),
                  number(m.brierSum()),
                  number(m.aurc()),
                  Long.toString(trial.parameters()));
            })
        .toList();
  }

  private static String range(Interval interval) {
    return String.format(Locale.ROOT, "%.1f to %.1f", 100 * interval.low(), 100 * interval.high());
  }

  /** The calibrator with the smallest negative log-likelihood on the first data set. */
  private CalibrationTrial best() {
    return trials.stream()
        .skip(1)
        .min(Comparator.comparingDouble(trial -> trial.sets().get(0).metrics().nll()))
        .orElse(trials.get(0));
  }

  private List<String> words() {
    List<String> words = new ArrayList<>();
    Measured before = trials.get(0).sets().get(0);
    CalibrationTrial best = best();
    Measured after = best.sets().get(0);
    double confidence = 0;
    ReliabilityDiagram diagram = before.binned().diagram();
    for (int b = 0; b < diagram.counts().length; b++) {
      if (diagram.counts()[b] > 0) {
        confidence += diagram.counts()[b] * diagram.confidence()[b] / before.metrics().count();
      }
    }
    words.add(
        "The model says "
            + percent(confidence)
            + " on average and is right in "
            + percent(before.metrics().accuracy())
            + ": it is "
            + (confidence > before.metrics().accuracy() + 0.01
                ? "too sure."
                : confidence < before.metrics().accuracy() - 0.01
                    ? "not sure enough."
                    : "about as sure as it may be on average."));
    boolean helps = after.metrics().nll() < before.metrics().nll();
    words.add(
        helps
            ? "Best by negative log-likelihood: "
                + best.name()
                + ". Its confidence is off by "
                + percent(after.metrics().ece())
                + " on average instead of "
                + percent(before.metrics().ece())
                + "."
            : "No method makes the data more likely than the model alone: keep its probabilities.");
    if (helps && !best.keepsRanking()) {
      words.add(
          "It may change the predicted class: accuracy "
              + percent(after.metrics().accuracy())
              + " instead of "
              + percent(before.metrics().accuracy())
              + ".");
    }
    for (int s = 1; s < data.size(); s++) {
      words.add(
          "On "
              + data.get(s)
              + " the confidence of "
              + best.name()
              + " is off by "
              + percent(best.sets().get(s).metrics().ece())
              + ": a calibrator's promise is about data like that it was fitted on.");
    }
    return words;
  }

  /** The page. */
  ReportPage page() {
    ReportPage page =
        new ReportPage(
            "What the probabilities of " + model + " mean", "Measured on " + data.get(0));
    Measured before = trials.get(0).sets().get(0);
    CalibrationTrial best = best();
    Measured after = best.sets().get(0);
    page.figures(
        List.of(
            new ReportPage.Figure(
                "ECE before", percent(before.metrics().ece()), "95 %: " + range(before.ece())),
            new ReportPage.Figure(
                "ECE after",
                percent(after.metrics().ece()),
                best.name() + ", 95 %: " + range(after.ece())),
            new ReportPage.Figure(
                "accuracy", percent(after.metrics().accuracy()), "with " + best.name())));
    page.section("In words", "");
    words().forEach(page::text);
    for (int s = 0; s < data.size(); s++) {
      page.section(
          title(s),
          "ECE: how far confidence is from the share correct, on average. NLL and Brier: smaller is"
              + " better. AURC: the mean error rate if only the most confident are answered.");
      page.table("", HEADER, rows(s));
      page.charts(reliability(s));
      page.charts(risk(s));
    }
    byClass(page);
    return page;
  }

  private Chart[] reliability(int set) {
    return trials.stream()
        .map(
            trial -> {
              Measured measured = trial.sets().get(set);
              ReliabilityDiagram diagram = measured.binned().diagram();
              double[] share = new double[diagram.counts().length];
              for (int b = 0; b < share.length; b++) {
                share[b] = (double) diagram.counts()[b] / measured.binned().count();
              }
              return Chart.reliability(
                  trial.name(),
                  "Expected calibration error "
                      + percent(measured.metrics().ece())
                      + ". Points below the diagonal are over-confident.",
                  diagram.confidence(),
                  diagram.accuracy(),
                  share);
            })
        .toArray(Chart[]::new);
  }

  private Chart risk(int set) {
    int points = 60;
    Chart.Line[] lines =
        trials.stream()
            .map(
                trial -> {
                  double[] coverage = new double[points];
                  double[] risk = new double[points];
                  for (int i = 0; i < points; i++) {
                    coverage[i] = (i + 1.0) / points;
                    risk[i] = trial.sets().get(set).curve().riskAt(coverage[i]);
                  }
                  return new Chart.Line(trial.name(), coverage, risk);
                })
            .toArray(Chart.Line[]::new);
    return Chart.lines(
        "Risk against coverage",
        "The error rate if only the most confident share of inputs is answered.",
        "share of inputs answered",
        "error rate",
        lines);
  }

  private void byClass(ReportPage page) {
    double[] before = trials.get(0).sets().get(0).byClass();
    CalibrationTrial best = best();
    double[] after = best.sets().get(0).byClass();
    page.section("Class by class", "How far each class's probability is from its frequency.");
    List<List<String>> rows = new ArrayList<>();
    IntStream.range(0, before.length)
        .boxed()
        .sorted(Comparator.comparingDouble(c -> -before[c]))
        .limit(MOST_CLASSES)
        .sorted()
        .forEach(
            c ->
                rows.add(
                    List.of(
                        c < classes.size() ? classes.get(c) : "class " + c,
                        percent(before[c]),
                        percent(after[c]))));
    page.table(
        before.length > MOST_CLASSES
            ? "The " + MOST_CLASSES + " classes that are furthest off, of " + before.length + "."
            : "",
        List.of("class", "ECE uncalibrated", "ECE " + best.name()),
        rows);
  }

  /** Everything, of JSON types. */
  Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", model);
    List<Object> sets = new ArrayList<>();
    for (int s = 0; s < data.size(); s++) {
      List<Object> methods = new ArrayList<>();
      for (CalibrationTrial trial : trials) {
        Measured measured = trial.sets().get(s);
        CalibrationMetrics m = measured.metrics();
        Map<String, Object> one = new LinkedHashMap<>();
        one.put("method", trial.name());
        one.put("parameters", trial.parameters());
        one.put("keepsRanking", trial.keepsRanking());
        one.put("accuracy", m.accuracy());
        one.put("ece", m.ece());
        one.put("eceLow", measured.ece().low());
        one.put("eceHigh", measured.ece().high());
        one.put("classwiseEce", m.classwiseEce());
        one.put("ks", m.ks());
        one.put("nll", m.nll());
        one.put("brierSum", m.brierSum());
        one.put("aurc", m.aurc());
        methods.add(one);
      }
      Map<String, Object> set = new LinkedHashMap<>();
      set.put("name", data.get(s));
      set.put("rows", trials.get(0).sets().get(s).metrics().count());
      set.put("methods", methods);
      sets.add(set);
    }
    json.put("data", sets);
    json.put("words", words());
    return json;
  }
}
