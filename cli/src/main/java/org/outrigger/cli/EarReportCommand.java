package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.outrigger.adapt.ear.Ear;
import org.outrigger.adapt.ear.EarReading;
import org.outrigger.adapt.ear.EarReport;
import org.outrigger.adapt.ear.LearnedDomain;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.Json;
import org.outrigger.evaluate.report.ReportPage;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Reports on a saved EAR. */
@Command(
    name = "report",
    mixinStandardHelpOptions = true,
    description = {
      "Shows what a saved EAR has learned and what it costs.",
      "With data it also shows accuracy, where rows are routed to, OOD scores and how many rows are"
          + " unknown; data that is called like a domain should be routed there."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt ear report --ear camera.ear",
      "  outrigger adapt ear report --ear camera.ear --domain day=test-day/ \\",
      "      --domain night=test-night/ --domain rain=rain/"
    })
final class EarReportCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(names = "--ear", required = true, paramLabel = "DIR", description = "A saved EAR.")
  private Path bundle;

  @Option(
      names = "--domain",
      paramLabel = "NAME=PATH",
      description = "Data to measure with, labelled or not; may be repeated.")
  private Map<String, Path> domains = Map.of();

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    device.apply();
    EarReading saved = Ear.reading(bundle);
    EarReport report;
    try (Ear ear = Ear.load(bundle, device.name())) {
      Map<String, Dataset> tests = new LinkedHashMap<>();
      domains.forEach(
          (name, path) ->
              tests.put(
                  name,
                  reading.open(
                      path, ear.classNames(), saved.preprocessing(), "test", saved.columns())));
      report = EarReport.of(ear, tests, batchSize);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(Json.pretty(report.toMap()));
      return;
    }
    domains(report).print(out);
    if (!report.tests().isEmpty()) {
      out.println();
      tests(report).print(out);
    }
    out.println();
    out.println(report.summary());
  }

  private static TextTable domains(EarReport report) {
    TextTable table =
        new TextTable(
            "domain", "adaptor", "parameters", "head", "classes", "rows", "held out", "threshold");
    for (LearnedDomain domain : report.domains()) {
      table.row(
          domain.name(),
          domain.adaptor(),
          String.format(Locale.ROOT, "%,d", domain.adaptorParameters()),
          String.format(Locale.ROOT, "%,d", domain.headParameters()),
          Integer.toString(domain.classes().size()),
          String.format(Locale.ROOT, "%,d", domain.rows()),
          ReportPage.percent(domain.heldOutAccuracy()),
          ReportPage.number(domain.threshold()));
    }
    return table;
  }

  private static TextTable tests(EarReport report) {
    List<String> header = new ArrayList<>(List.of("data", "rows", "accuracy"));
    report.domains().forEach(domain -> header.add("to " + domain.name()));
    header.addAll(List.of("mean score", "unknown"));
    TextTable table = new TextTable(header.toArray(new String[0]));
    for (EarReport.Test test : report.tests()) {
      List<String> cells =
          new ArrayList<>(
              List.of(
                  test.name(),
                  String.format(Locale.ROOT, "%,d", test.rows()),
                  ReportPage.percent(test.accuracy())));
      test.routed().forEach(count -> cells.add(ReportPage.percent(count / (double) test.rows())));
      cells.add(ReportPage.number(test.meanScore()));
      cells.add(ReportPage.percent(test.unknown()));
      table.row(cells);
    }
    return table;
  }
}
