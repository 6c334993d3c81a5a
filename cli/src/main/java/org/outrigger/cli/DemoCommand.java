package org.outrigger.cli;

import static org.outrigger.evaluate.report.ReportPage.number;
import static org.outrigger.evaluate.report.ReportPage.percent;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.guard.AdapterComparison;
import org.outrigger.guard.DetectorComparison;
import org.outrigger.guard.GuardEvaluation;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Shows the main job on embedded data. */
@Command(
    name = "demo",
    mixinStandardHelpOptions = true,
    description = {
      "Shows the main job on embedded data: a guarded classifier meets unknown inputs.",
      "Trains a small ResNet on Fashion-MNIST, fits a guard, and shows it digits, textures, classes"
          + " it was never shown, and corrupted pictures. Takes a few minutes. Writes report.html,"
          + " demo.json and the guard."
    },
    footerHeading = "%nExamples:%n",
    footer = {"  outrigger demo", "  outrigger demo --out /tmp/demo --seed 1"})
final class DemoCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      defaultValue = "outrigger-demo",
      description = "Where the files go; ${DEFAULT-VALUE} by default.")
  private Path folder;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of everything random; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(
      names = "--quick",
      description = "A tenth of the data and one epoch: shows the steps, not the quality.")
  private boolean quick;

  @Option(names = "--json", description = "Print the figures as JSON.")
  private boolean json;

  @Mixin private Device device;

  @Override
  public void run() {
    device.apply();
    var out = spec.commandLine().getOut();
    Path report = folder.resolve("report.html");
    Path figures = folder.resolve("demo.json");
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new OutriggerException(
          "The folder " + folder + " cannot be made: choose another with --out. " + e.getMessage(),
          e);
    }
    AtomicFiles.check(report);
    Demo.Result result;
    try (Progress progress = new Progress("Demo", 100)) {
      result =
          new Demo(seed, quick ? Demo.Scale.QUICK : Demo.Scale.FULL, device.name())
              .run(
                  folder.resolve("fashion.guard"),
                  (share, what) -> {
                    progress.to(Math.round(100 * share));
                    progress.say(what);
                  });
    }
    String text = Json.pretty(result.toJson());
    AtomicFiles.write(
        figures, to -> to.write(text.getBytes(java.nio.charset.StandardCharsets.UTF_8)));
    DemoReport.of(result).write(report);
    if (json) {
      out.println(text);
      return;
    }
    print(result);
    out.println();
    out.println("Report   " + report);
    out.println("Figures  " + figures);
    out.println("Guard    " + folder.resolve("fashion.guard"));
    out.println();
    out.println("Next, with your own model and data:");
    out.println("  outrigger guard fit --model MODEL.pt --data VALIDATION/ --out my.guard");
  }

  private void print(Demo.Result result) {
    var out = spec.commandLine().getOut();
    GuardEvaluation.Predictions predictions = result.predictions();
    out.printf(
        Locale.ROOT,
        "A ResNet-8 trained on %,d Fashion-MNIST images, measured on %,d others.%n%n",
        result.trainRows(),
        result.evaluation().known().rows());
    out.println("Accuracy                 " + percent(predictions.accuracy().estimate()));
    out.println(
        "Calibration error (ECE)  "
            + percent(predictions.before().ece())
            + " before, "
            + percent(predictions.after().ece())
            + " after temperature scaling");
    out.println(
        "Known inputs accepted    "
            + percent(result.evaluation().known().accepted().estimate())
            + " (asked for "
            + percent(result.evaluation().guard().threshold().accept())
            + ")");
    out.println();
    out.println("Which inputs does it not know? AUROC and, behind it, FPR95 (known positive):");
    out.println();
    print(result.comparison());
    out.println();
    out.println(
        "Classes it was never shown ("
            + String.join(", ", result.heldOutClasses())
            + "), a second model trained on the other eight:");
    out.println();
    print(result.heldOut());
    out.println();
    out.println(
        "Corrupted inputs, mean over the 15 corruptions, on the first "
            + result.severities().get(0).rows()
            + " test images:");
    out.println();
    TextTable table =
        new TextTable("severity", "accuracy", "flagged unknown", "mean probability", "ECE");
    for (Demo.Severity each : result.severities()) {
      table.row(
          Integer.toString(each.severity()),
          percent(each.accuracy()),
          percent(each.flagged()),
          percent(each.probability()),
          percent(each.ece()));
    }
    table.print(out);
    out.println();
    out.println(
        "Following a stream of corrupted inputs without labels, one corruption after another:");
    out.println();
    print(result.adapters());
  }

  private void print(AdapterComparison comparison) {
    TextTable table = new TextTable("adapter", "accuracy", "ECE", "time a row");
    for (AdapterComparison.Row row : comparison.rows()) {
      table.row(
          row.adapter(),
          percent(row.report().accuracy()),
          percent(row.report().total().ece()),
          String.format(Locale.ROOT, "%.2f ms", row.report().total().millisPerRow()));
    }
    table.print(spec.commandLine().getOut());
  }

  private void print(DetectorComparison comparison) {
    if (comparison.rows().isEmpty()) {
      return;
    }
    List<String> header = new java.util.ArrayList<>(List.of("detector"));
    comparison.rows().get(0).kinds().forEach(kind -> header.add(kind.name()));
    TextTable table = new TextTable(header.toArray(new String[0]));
    for (DetectorComparison.Row row : comparison.rows()) {
      List<String> cells = new java.util.ArrayList<>(List.of(row.slug()));
      row.kinds()
          .forEach(
              kind ->
                  cells.add(
                      number(kind.metrics().auroc())
                          + "  "
                          + percent(kind.metrics().fprIdPositive())));
      table.row(cells);
    }
    table.print(spec.commandLine().getOut());
  }
}
