package org.outrigger.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardEvaluation;
import org.outrigger.guard.GuardReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures a guard. */
@Command(
    name = "evaluate",
    mixinStandardHelpOptions = true,
    description =
        "Measures a guard on known inputs that it was not fitted on, and on unknown ones.",
    footerHeading = "%nExample:%n",
    footer = {
      "  outrigger guard evaluate --guard resnet.guard --id test/ --ood scans/ noise/ \\",
      "      --report report.html"
    })
final class GuardEvaluateCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(names = "--guard", required = true, paramLabel = "DIR", description = "A saved guard.")
  private Path bundle;

  @Option(
      names = "--id",
      required = true,
      paramLabel = "PATH",
      description = "Known inputs, preferably labelled.")
  private Path known;

  @Option(
      names = "--ood",
      arity = "1..*",
      paramLabel = "PATH",
      description = "Unknown inputs; one kind a path.")
  private List<Path> unknown = List.of();

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the bootstrap intervals.")
  private long seed;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    device.apply();
    var out = spec.commandLine().getOut();
    try (Guard guard = Guard.load(bundle, device.name())) {
      List<String> classes = guard.info().classNames();
      List<String> columns = guard.info().features();
      Dataset id = reading.open(known, classes, guard.preprocessing(), "test", columns);
      List<Dataset> kinds = new ArrayList<>();
      unknown.forEach(
          path -> kinds.add(reading.open(path, List.of(), guard.preprocessing(), "test", columns)));
      long total = kinds.stream().mapToLong(Dataset::size).reduce(id.size(), Sizes::sum);
      GuardEvaluation evaluation;
      try (Progress progress = new Progress("Evaluating", total)) {
        evaluation = GuardEvaluation.of(guard, id, kinds, batchSize, seed, progress::to);
      }
      Skips.report(spec.commandLine().getErr(), id.name(), evaluation.known().skipped());
      evaluation
          .unknown()
          .forEach(kind -> Skips.report(spec.commandLine().getErr(), kind.name(), kind.skipped()));
      if (report != null) {
        GuardReport.of(evaluation).write(report);
      }
      if (json) {
        out.println(Json.pretty(evaluation.toJson()));
        return;
      }
      print(evaluation);
      if (report != null) {
        out.println();
        out.println("Report: " + report);
      }
    }
  }

  private void print(GuardEvaluation evaluation) {
    var out = spec.commandLine().getOut();
    GuardEvaluation.Known id = evaluation.known();
    if (id.predictions() != null) {
      out.println(
          "accuracy "
              + ReportPage.percent(id.predictions().accuracy().estimate())
              + ", calibration error "
              + ReportPage.percent(id.predictions().after().ece())
              + " (before calibration "
              + ReportPage.percent(id.predictions().before().ece())
              + ")");
      GuardEvaluation.LabelSetFigures sets = id.predictions().labelSets();
      if (sets != null) {
        out.println(
            "label sets hold the true label for "
                + ReportPage.percent(sets.coverage().estimate())
                + " (promised "
                + ReportPage.percent(sets.promised())
                + "), "
                + ReportPage.number(sets.meanSize())
                + " labels a set");
      }
    }
    out.println(
        "known inputs accepted "
            + ReportPage.percent(id.accepted().estimate())
            + " (asked for "
            + ReportPage.percent(evaluation.guard().threshold().accept())
            + ")");
    if (evaluation.unknown().isEmpty()) {
      return;
    }
    out.println();
    TextTable table =
        new TextTable("unknown inputs", "rows", "flagged", "AUROC", "FPR95 (known positive)");
    for (GuardEvaluation.Unknown kind : evaluation.unknown()) {
      table.row(
          kind.name(),
          Long.toString(kind.rows()),
          ReportPage.percent(kind.flagged().estimate()),
          ReportPage.number(kind.auroc().estimate()),
          ReportPage.percent(kind.metrics().fprIdPositive()));
    }
    table.print(out);
  }
}
