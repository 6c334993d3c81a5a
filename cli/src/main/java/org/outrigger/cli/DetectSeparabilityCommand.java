package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.detect.Detector;
import org.outrigger.detect.LinearProbe;
import org.outrigger.detect.PtOod;
import org.outrigger.detect.Separability;
import org.outrigger.detect.Separability.Kind;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.SeparabilityReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Tells how far a pre-trained backbone can be trusted. */
@Command(
    name = "separability",
    mixinStandardHelpOptions = true,
    description = {
      "Tells how far a frozen backbone with a linear probe can be trusted.",
      "Inputs that a backbone knows from its pre-training may look known to the probe.",
      "For each kind of unknown inputs this shows whether scores of the probe and the distance in"
          + " feature space find them, and whether a line in feature space could."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger detect separability --model resnet.pt --id birds/test \\",
      "      --fit-data birds/train --ood imagenet-dogs/ textures/ \\",
      "      --report backbone.html",
      "  outrigger detect separability --model clothes.safetensors --id mnist \\",
      "      --ood fashion-mnist",
      "  outrigger detect separability --model supervised.pt \\",
      "      --against self-supervised.pt --id birds/ --ood dogs/ --json"
    })
final class DetectSeparabilityCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .pt (TorchScript), .onnx or .safetensors file that shows its features.")
  private Path file;

  @Option(
      names = "--against",
      paramLabel = "FILE",
      description = "Another backbone to compare with, on the same data.")
  private @Nullable Path against;

  @Option(
      names = "--id",
      required = true,
      paramLabel = "PATH",
      description = "Known inputs, labelled.")
  private Path known;

  @Option(
      names = "--ood",
      required = true,
      arity = "1..*",
      paramLabel = "PATH",
      description = "Unknown inputs; one kind a path. Their classes must not be known ones.")
  private List<Path> unknown = List.of();

  @Option(
      names = "--fit-data",
      paramLabel = "PATH",
      description = "Fit the probe and the bank of features on this instead of on half of --id.")
  private @Nullable Path fit;

  @Option(
      names = "--no-shared-class",
      description =
          "State that no unknown input belongs to a known class, where class names do not show it.")
  private boolean noSharedClass;

  @Option(
      names = "--own-head",
      description = "Judge the model's own last layer instead of a probe that is fitted here.")
  private boolean ownHead;

  @Option(
      names = "--k",
      paramLabel = "K",
      defaultValue = "1",
      description = "Distance to the K-th nearest known feature; ${DEFAULT-VALUE} by default.")
  private int k;

  @Option(
      names = "--bank",
      paramLabel = "SHARE",
      defaultValue = "1",
      description = "The share of the known features to keep; ${DEFAULT-VALUE} by default.")
  private double bank;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "400",
      description = "Steps of the probe's training; ${DEFAULT-VALUE} by default.")
  private int steps;

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
      description = "Seed of splits, probe and bootstrap; ${DEFAULT-VALUE} by default.")
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
    Separability.Settings settings =
        new Separability.Settings(
            k,
            true,
            bank,
            ownHead,
            LinearProbe.Settings.defaults().withSteps(steps).withSeed(seed),
            seed);
    device.apply();
    Separability first = measure(file, settings);
    Separability second = against == null ? null : measure(against, settings);
    if (report != null) {
      SeparabilityReport.of(first, second).write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(Json.pretty(toJson(first, second)));
      return;
    }
    print(out, first);
    if (second != null) {
      out.println();
      print(out, second);
      out.println();
      printDifferences(out, first, second);
    }
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }

  private Separability measure(Path path, Separability.Settings settings) {
    try (Model opened = model.open(path, device);
        PtOod needed = new PtOod()) {
      opened.require(needed, Detector.class);
      List<String> classes = ownHead ? ModelArguments.classNames(opened) : List.of();
      Dataset id = labelled(reading.open(known, classes, null));
      List<String> names = id.classNames();
      Dataset toFit;
      if (fit != null) {
        toFit = labelled(reading.open(fit, names, null, "train"));
      } else {
        IndexedDataset rows = Tables.inMemory(id, spec.commandLine().getErr());
        Splits halves = rows.splitStratified(0.5, seed);
        toFit = halves.first();
        id = halves.second();
      }
      List<Dataset> kinds = new ArrayList<>();
      unknown.forEach(each -> kinds.add(reading.open(each, List.of(), null)));
      List<RecordedOutputs> recorded = new ArrayList<>();
      long total =
          kinds.stream()
              .mapToLong(Dataset::size)
              .reduce(Sizes.sum(toFit.size(), id.size()), Sizes::sum);
      try (Progress progress = new Progress("Running " + opened.name(), total)) {
        recorded.add(record(opened, toFit, progress, recorded));
        recorded.add(record(opened, id, progress, recorded));
        List<Separability.Unknown> all = new ArrayList<>();
        for (Dataset kind : kinds) {
          RecordedOutputs outputs = record(opened, kind, progress, recorded);
          recorded.add(outputs);
          all.add(new Separability.Unknown(kind.name(), outputs, kind.classNames(), noSharedClass));
        }
        return Separability.of(
            opened.name(), id.name(), names, recorded.get(0), recorded.get(1), all, settings);
      } finally {
        recorded.forEach(RecordedOutputs::close);
      }
    }
  }

  private static Dataset labelled(Dataset data) {
    if (!data.labelled()) {
      throw new OutriggerException(
          data.name()
              + " has no labels, which the probe learns: use one folder of images a class, or name"
              + " the label column of a table with --label.");
    }
    return data;
  }

  private RecordedOutputs record(
      Model opened, Dataset data, Progress progress, List<RecordedOutputs> before) {
    long done = before.stream().mapToLong(RecordedOutputs::size).sum();
    RecordedOutputs outputs =
        RecordedOutputs.record(
            opened,
            data,
            RecordedOutputs.Options.defaults()
                .withBatchSize(batchSize)
                .withSeed(seed)
                .withProgress(rows -> progress.to(done + rows)));
    Skips.report(spec.commandLine().getErr(), data.name(), outputs.skipped());
    return outputs;
  }

  private static Map<String, Object> toJson(Separability first, @Nullable Separability second) {
    Map<String, Object> all = new LinkedHashMap<>(first.toJson());
    if (second != null) {
      all.put("against", second.toJson());
      all.put("difference", first.minus(second));
    }
    return all;
  }

  private static void print(PrintWriter out, Separability measured) {
    out.println("backbone   " + measured.backbone());
    out.println(
        "known      "
            + measured.known()
            + ": "
            + measured.fitRows()
            + " rows to fit, "
            + measured.testRows()
            + " to test; accuracy of the "
            + (measured.ownHead() ? "model " : "probe ")
            + ReportPage.percent(measured.accuracy()));
    out.println();
    TextTable table =
        new TextTable(
            "unknown",
            "rows",
            "separable",
            "accepted",
            "AUROC msp",
            "AUROC energy",
            "AUROC distance",
            "FPR95 distance");
    for (Kind kind : measured.kinds()) {
      table.row(
          kind.name(),
          Long.toString(kind.rows()),
          ReportPage.percent(kind.separability().estimate()),
          ReportPage.percent(kind.accepted()),
          ReportPage.number(kind.msp().metrics().auroc()),
          ReportPage.number(kind.energy().metrics().auroc()),
          ReportPage.number(kind.knn().metrics().auroc()),
          ReportPage.percent(kind.knn().metrics().fprIdPositive()));
    }
    table.print(out);
    out.println();
    measured.kinds().forEach(kind -> out.println(kind.name() + ": " + kind.advice()));
  }

  private static void printDifferences(PrintWriter out, Separability first, Separability second) {
    out.println(first.backbone() + " minus " + second.backbone() + ":");
    TextTable table =
        new TextTable("unknown", "separable", "AUROC msp", "AUROC energy", "AUROC distance");
    for (Separability.Difference each : first.minus(second)) {
      table.row(
          each.name(),
          ReportPage.number(each.separability()),
          ReportPage.number(each.msp()),
          ReportPage.number(each.energy()),
          ReportPage.number(each.knn()));
    }
    table.print(out);
  }
}
