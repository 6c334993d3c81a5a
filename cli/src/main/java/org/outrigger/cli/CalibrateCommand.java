package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.AutoCalibrator;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.CalibratorChoice;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.evaluate.report.ReportPage;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Fits calibrators and shows what each is worth. */
@Command(
    name = "calibrate",
    mixinStandardHelpOptions = true,
    description = {
      "Makes a model's probabilities honest, and shows how far they can be trusted.",
      "Fits calibrators on one half of labelled data that the model was not trained on, and"
          + " measures them on the other half, or on --test."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger calibrate --model resnet.pt --data val/ --report calibration.html",
      "  outrigger calibrate --model m.safetensors --data val.csv --label state \\",
      "      --method temperature,beta-calibration,isotonic",
      "  outrigger calibrate --model m.safetensors --data digits:test \\",
      "      --method dirichlet:crossValidate=true --out dirichlet.calibrator",
      "",
      "'outrigger methods' lists all calibrators. 'auto' chooses one by cross-validation on the"
          + " half that it is fitted on."
    })
final class CalibrateCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .pt (TorchScript), .onnx or .safetensors file.")
  private Path file;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "Labelled data that the model was not trained on.")
  private Path data;

  @Option(
      names = "--test",
      paramLabel = "PATH",
      description = "Measure on this, and fit on all of --data.")
  private @Nullable Path test;

  @Option(
      names = "--shifted",
      arity = "1..*",
      paramLabel = "PATH",
      description = "Also measure on these labelled data, which have shifted.")
  private List<Path> shifted = List.of();

  @Option(
      names = {"--method", "--methods"},
      paramLabel = "NAME,...",
      defaultValue = "auto",
      description = "auto, all, or calibrators with settings; ${DEFAULT-VALUE} by default.")
  private String list;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      description = "Save the fitted calibrator; name one --method then.")
  private @Nullable Path out;

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
      description = "Seed of the split and of the bootstrap; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    List<Calibrator> calibrators = calibrators();
    try {
      if (out != null) {
        AtomicFiles.check(out);
        if (calibrators.size() != 1) {
          throw new OutriggerException(
              "--out saves one calibrator, but --method names "
                  + calibrators.size()
                  + ": name one, or auto.");
        }
      }
      device.apply();
      try (Model opened = model.open(file, device)) {
        measure(opened, calibrators);
      }
    } finally {
      calibrators.forEach(Calibrator::close);
    }
  }

  private List<Calibrator> calibrators() {
    if (!list.strip().toLowerCase(Locale.ROOT).equals("all")) {
      return Methods.parse(Calibrator.class, list);
    }
    return Methods.cards(Calibrator.class).stream()
        .filter(card -> !Arrays.asList(card.needs()).contains(Need.INPUTS))
        .filter(card -> !card.slug().equals("auto"))
        .map(card -> Methods.create(Calibrator.class, card.slug(), Map.of()))
        .toList();
  }

  private void measure(Model opened, List<Calibrator> calibrators) {
    List<String> classes = ModelArguments.classNames(opened);
    Dataset rows = reading.open(data, classes, null);
    List<String> order = classes.isEmpty() ? rows.classNames() : classes;
    List<String> columns = rows.featureColumns();
    List<Dataset> sets = new ArrayList<>();
    if (test != null) {
      sets.add(rows);
      sets.add(reading.open(test, order, null, "test", columns));
    } else {
      IndexedDataset held = Tables.inMemory(rows, spec.commandLine().getErr());
      Splits halves = held.labelled() ? held.splitStratified(0.5, seed) : held.split(0.5, seed);
      sets.add(halves.first());
      sets.add(halves.second());
    }
    shifted.forEach(path -> sets.add(reading.open(path, order, null, "test", columns)));
    List<RecordedOutputs> outputs = new ArrayList<>();
    try (PointerScope scope = new PointerScope()) {
      long total = sets.stream().mapToLong(Dataset::size).reduce(0, Sizes::sum);
      try (Progress progress = new Progress("Running the model", total)) {
        for (Dataset set : sets) {
          outputs.add(record(opened, set, progress, outputs));
        }
      }
      List<CalibrationTrial> trials = trials(opened, calibrators, sets, outputs);
      List<String> names = new ArrayList<>();
      sets.subList(1, sets.size()).forEach(set -> names.add(set.name()));
      finish(new CalibrationReport(opened.name(), names, order, trials), calibrators);
    } finally {
      outputs.forEach(RecordedOutputs::close);
    }
  }

  private RecordedOutputs record(
      Model opened, Dataset set, Progress progress, List<RecordedOutputs> before) {
    long done = before.stream().mapToLong(RecordedOutputs::seen).sum();
    RecordedOutputs recorded =
        RecordedOutputs.record(
            opened,
            set,
            RecordedOutputs.Options.defaults()
                .withBatchSize(batchSize)
                .withSeed(seed)
                .withProgress(each -> progress.to(done + each)));
    Skips.report(spec.commandLine().getErr(), set.name(), recorded.skipped());
    return recorded;
  }

  private List<CalibrationTrial> trials(
      Model model,
      List<Calibrator> calibrators,
      List<Dataset> sets,
      List<RecordedOutputs> outputs) {
    RecordedOutputs fitting = outputs.get(0);
    List<RecordedOutputs> measured = outputs.subList(1, outputs.size());
    Tensor labels = fitting.labels("A calibrator");
    List<CalibrationTrial> trials = new ArrayList<>();
    trials.add(CalibrationTrial.uncalibrated(measured, seed));
    List<String> reasons = new ArrayList<>();
    try (Progress progress = new Progress("Calibrating", calibrators.size())) {
      for (Calibrator calibrator : calibrators) {
        progress.say(calibrator.card().slug());
        try {
          if (calibrator.needs().contains(Need.INPUTS)) {
            calibrator.fit(
                model,
                CalibrationTrial.inputs(calibrator, fitting, sets.get(0)),
                fitting.logits(),
                labels);
          } else {
            calibrator.fit(fitting.logits(), labels);
          }
          trials.add(
              CalibrationTrial.of(
                  calibrator, model, measured, sets.subList(1, sets.size()), batchSize, seed));
        } catch (OutriggerException e) {
          if (calibrators.size() == 1) {
            throw e;
          }
          reasons.add(calibrator.card().slug() + ": " + e.firstLine());
        }
        progress.to(trials.size() - 1);
      }
    }
    reasons.forEach(reason -> spec.commandLine().getErr().println("Left out: " + reason));
    if (trials.size() == 1) {
      throw new OutriggerException("No calibrator could be fitted. " + String.join(" ", reasons));
    }
    return trials;
  }

  private void finish(CalibrationReport page, List<Calibrator> calibrators) {
    if (report != null) {
      page.page().write(report);
    }
    if (out != null) {
      StateFiles.write(out, calibrators.get(0).state());
    }
    PrintWriter console = spec.commandLine().getOut();
    if (json) {
      console.println(Json.pretty(page.toJson()));
      return;
    }
    for (Calibrator calibrator : calibrators) {
      if (calibrator instanceof AutoCalibrator auto && auto.choice() != null) {
        print(auto.choice());
      }
    }
    page.print(console);
    if (out != null) {
      String slug =
          calibrators.get(0) instanceof AutoCalibrator auto ? auto.chosenSlug() : list.strip();
      console.println();
      console.println("Saved: " + out);
      console.println("In a guard: outrigger guard fit ... --calibrator " + slug);
    }
    if (report != null) {
      console.println();
      console.println("Report: " + report);
    }
  }

  private void print(@Nullable CalibratorChoice choice) {
    if (choice == null) {
      return;
    }
    PrintWriter console = spec.commandLine().getOut();
    TextTable table =
        new TextTable("candidate", "NLL of held-out folds", "behind", "+-", "parameters");
    for (CalibratorChoice.Row row : choice.rows()) {
      if (row.leftOut().isEmpty()) {
        table.row(
            row.name(),
            ReportPage.number(row.nll()),
            ReportPage.number(row.behind()),
            ReportPage.number(row.standardError()),
            Long.toString(row.parameters()));
      }
    }
    table.print(console);
    choice.rows().stream()
        .filter(row -> !row.leftOut().isEmpty())
        .forEach(row -> console.println("Left out: " + row.name() + ": " + row.leftOut()));
    console.println();
    console.println(
        "Chosen: "
            + choice.chosen().card().slug()
            + ", the fewest parameters among those no more than one standard error behind.");
    console.println();
  }
}
