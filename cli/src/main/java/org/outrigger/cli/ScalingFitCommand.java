package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.select.scaling.Axis;
import org.outrigger.select.scaling.FittedLaw;
import org.outrigger.select.scaling.RunTable;
import org.outrigger.select.scaling.ScalingAdvice;
import org.outrigger.select.scaling.ScalingStudy;
import org.outrigger.select.scaling.ScalingStudy.Curve;
import org.outrigger.select.scaling.TsfmScaling;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Fits scaling laws. */
@Command(
    name = "fit",
    mixinStandardHelpOptions = true,
    description = {
      "Fits power laws of loss to runs, and says what size and how much data to buy.",
      "The runs are a table with a column value (or loss) and at least one of parameters, data and"
          + " compute (in PF-days). Columns architecture, dataset, metric, model, seed and step tell"
          + " rows apart; rows that differ in step or compute alone are one run's curve, whose least"
          + " loss counts.",
      "N is fitted at the most data, D at the most parameters, C to the lower envelope of all rows."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger scaling fit --runs runs/runs.csv --report scaling.html",
      "  outrigger scaling fit --runs runs/runs.csv --axis N --target-loss 1.5",
      "  outrigger scaling fit --runs mine.csv --axis N --at 1e9 --irreducible",
      "",
      "A table by hand, mine.csv:",
      "  parameters,loss",
      "  1000000,2.31",
      "  10000000,2.04",
      "  100000000,1.83"
    })
final class ScalingFitCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--runs",
      required = true,
      paramLabel = "FILE",
      description = "A table of runs: .csv, .tsv, .parquet or .jsonl.")
  private Path file;

  @Option(
      names = "--axis",
      paramLabel = "N|D|C",
      description = "Parameters, data points or compute; all that vary by default.")
  private @Nullable Axis axis;

  @Option(
      names = "--metric",
      paramLabel = "NAME",
      description = "The metric to fit; nll where there is one, else all, by default.")
  private @Nullable String metric;

  @Option(
      names = "--target-loss",
      paramLabel = "LOSS",
      description = "Say what size or how much data this loss takes.")
  private @Nullable Double target;

  @Option(
      names = "--at",
      split = ",",
      paramLabel = "SIZE",
      description = "Foretell the loss at these sizes of the axis; needs --axis.")
  private List<Double> at = List.of();

  @Option(
      names = "--irreducible",
      description =
          "Fit a loss that no size gets below as well, an extension; losses may be negative then.")
  private boolean irreducible;

  @Option(
      names = "--smallest",
      defaultValue = "1",
      paramLabel = "K",
      description =
          "A run's loss is the mean of its K smallest records; ${DEFAULT-VALUE} by default.")
  private int smallest;

  @Option(
      names = "--level",
      defaultValue = "0.95",
      paramLabel = "P",
      description = "Confidence of intervals and bands; ${DEFAULT-VALUE} by default.")
  private double level;

  @Option(
      names = "--seed",
      defaultValue = "0",
      paramLabel = "N",
      description = "Seed of the bootstrap; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", paramLabel = "FILE", description = "Write all laws as JSON.")
  private @Nullable Path json;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    if (json != null) {
      AtomicFiles.check(json);
    }
    if (!at.isEmpty() && axis == null) {
      throw new OutriggerException("--at needs --axis N, D or C, which says what the sizes are.");
    }
    for (double size : at) {
      HyperParameter.positive("at", size);
    }
    TsfmScaling method =
        new TsfmScaling(new TsfmScaling.Settings(smallest, irreducible, 1000, level, seed));
    ScalingStudy study = method.study(chosen(RunTable.read(file)));
    if (axis != null) {
      study = study.only(axis);
    }
    if (study.laws().isEmpty()) {
      throw new OutriggerException("No law can be fitted. " + study.curves().get(0).problem());
    }
    Map<String, List<String>> answers = answers(study);
    if (report != null) {
      ScalingReport.of(study, answers, file.toString()).write(report);
    }
    if (json != null) {
      Map<String, Object> all = new LinkedHashMap<>(study.toJson());
      all.put("answers", answers);
      byte[] bytes = Json.pretty(all).getBytes(StandardCharsets.UTF_8);
      AtomicFiles.write(json, out -> out.write(bytes));
    }
    print(study, answers);
  }

  private RunTable chosen(RunTable runs) {
    List<String> metrics = runs.rows().stream().map(RunTable.Row::metric).distinct().toList();
    String wanted = metric != null ? metric : metrics.contains("nll") ? "nll" : null;
    if (wanted == null) {
      return runs;
    }
    if (!metrics.contains(wanted)) {
      throw new OutriggerException(
          file + " has no metric '" + wanted + "'. It has: " + String.join(", ", metrics) + ".");
    }
    return new RunTable(runs.rows().stream().filter(r -> r.metric().equals(wanted)).toList());
  }

  /** What is said of each law, by its name. */
  private Map<String, List<String>> answers(ScalingStudy study) {
    Map<String, List<String>> answers = new LinkedHashMap<>();
    for (Curve curve : study.laws()) {
      List<String> said = new ArrayList<>(List.of(ScalingAdvice.trend(curve)));
      for (double size : at) {
        said.add(ScalingAdvice.prediction(curve, size));
      }
      if (target != null) {
        said.add(ScalingAdvice.target(curve, target));
      }
      answers.put(curve.axis() + ": " + curve.name(), said);
    }
    return answers;
  }

  static List<String> header() {
    return List.of(
        "axis",
        "architecture",
        "data set",
        "metric",
        "alpha",
        "interval",
        "log10 x0",
        "L inf",
        "R2",
        "points",
        "held at");
  }

  /** The cells of one law. */
  static List<String> cells(Curve curve) {
    FittedLaw fitted = curve.fitted();
    return List.of(
        curve.axis().toString(),
        curve.architecture(),
        curve.dataset(),
        curve.metric(),
        String.format(Locale.ROOT, "%.4f", fitted.law().alpha()),
        String.format(Locale.ROOT, "%.4f to %.4f", fitted.alpha().low(), fitted.alpha().high()),
        String.format(Locale.ROOT, "%.2f", fitted.law().log10X0()),
        fitted.law().offset() == 0
            ? "-"
            : String.format(Locale.ROOT, "%.3f", fitted.law().offset()),
        ReportPage.number(fitted.law().r2()),
        Integer.toString(fitted.x().length),
        curve.held());
  }

  private void print(ScalingStudy study, Map<String, List<String>> answers) {
    PrintWriter out = spec.commandLine().getOut();
    TextTable table = new TextTable(header().toArray(String[]::new));
    study.laws().forEach(curve -> table.row(cells(curve)));
    table.print(out);
    List<Curve> without = study.curves().stream().filter(c -> c.law() == null).toList();
    if (!without.isEmpty()) {
      out.println();
      out.println("Not fitted:");
      without.forEach(c -> out.println("  " + c.axis() + ": " + c.name() + ": " + c.problem()));
    }
    out.println();
    answers.forEach(
        (name, said) ->
            out.println(
                name
                    + System.lineSeparator()
                    + said.stream()
                        .map(line -> "  " + line)
                        .collect(Collectors.joining(System.lineSeparator()))));
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }
}
