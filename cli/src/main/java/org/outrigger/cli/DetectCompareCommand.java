package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Detector;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.guard.DetectorComparison;
import org.outrigger.guard.DetectorComparison.Part;
import org.outrigger.guard.GuardReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares detectors. */
@Command(
    name = "compare",
    mixinStandardHelpOptions = true,
    description = {
      "Compares detectors on known and unknown inputs.",
      "Shows how well each tells them apart, what it costs and what it needs: from a model and"
          + " data, or from cached features without a model."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger detect compare --model resnet.pt --id test/ --ood scans/ noise/ \\",
      "      --fit-data train/ --report detectors.html",
      "  outrigger detect compare --model m.safetensors --id fashion-mnist \\",
      "      --ood mnist --detectors energy,knn:k=20,vim",
      "  outrigger detect compare --fit-features train.npz --id-features test.npz \\",
      "      --ood-features a.npz b.safetensors",
      "",
      "Files of cached features hold features [N, D], logits [N, C], labels [N] and, in one of"
          + " them, the last layer's weight [C, D] and bias [C]; missing logits are computed from it."
    })
final class DetectCompareCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "FILE",
      description = "A .pt (TorchScript), .onnx or .safetensors file.")
  private @Nullable Path file;

  @Option(names = "--id", paramLabel = "PATH", description = "Known inputs, preferably labelled.")
  private @Nullable Path known;

  @Option(
      names = "--ood",
      arity = "1..*",
      paramLabel = "PATH",
      description = "Unknown inputs; one kind a path.")
  private List<Path> unknown = List.of();

  @Option(
      names = "--fit-data",
      paramLabel = "PATH",
      description = "Fit the detectors on this instead of on half of --id.")
  private @Nullable Path fit;

  @Option(
      names = "--id-features",
      paramLabel = "FILE",
      description = "Known inputs as cached features: .npz or .safetensors.")
  private @Nullable Path knownFeatures;

  @Option(
      names = "--ood-features",
      arity = "1..*",
      paramLabel = "FILE",
      description = "Unknown inputs as cached features; one kind a file.")
  private List<Path> unknownFeatures = List.of();

  @Option(
      names = "--fit-features",
      paramLabel = "FILE",
      description = "Fit the detectors on these instead of on half of --id-features.")
  private @Nullable Path fitFeatures;

  @Option(
      names = {"--detectors", "--detector"},
      paramLabel = "NAME,...",
      defaultValue = "all",
      description = "all, or detectors with settings; ${DEFAULT-VALUE} by default.")
  private String list;

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
    List<Detector> detectors = detectors();
    device.apply();
    try {
      if (knownFeatures != null || !unknownFeatures.isEmpty() || fitFeatures != null) {
        compareCached(detectors);
      } else {
        compareLive(detectors);
      }
    } finally {
      detectors.forEach(Detector::close);
    }
  }

  private List<Detector> detectors() {
    if (!list.strip().toLowerCase(Locale.ROOT).equals("all")) {
      return Methods.parse(Detector.class, list);
    }
    List<Detector> all = new ArrayList<>();
    Methods.cards(Detector.class)
        .forEach(card -> all.add(Methods.create(Detector.class, card.slug(), Map.of())));
    return all;
  }

  private void compareLive(List<Detector> detectors) {
    if (file == null || known == null || unknown.isEmpty()) {
      throw new OutriggerException(
          "Name --model, --id and --ood; or, to compare without a model, --id-features and"
              + " --ood-features.");
    }
    try (Model opened = model.open(file, device)) {
      List<String> classes = ModelArguments.classNames(opened);
      Dataset id = reading.open(known, classes, null);
      List<String> columns = id.featureColumns();
      Dataset toFit;
      if (fit != null) {
        toFit =
            reading.open(
                fit, classes.isEmpty() ? id.classNames() : classes, null, "train", columns);
      } else {
        IndexedDataset rows = Tables.inMemory(id, spec.commandLine().getErr());
        Splits halves = rows.labelled() ? rows.splitStratified(0.5, seed) : rows.split(0.5, seed);
        toFit = halves.first();
        id = halves.second();
      }
      List<Dataset> kinds = new ArrayList<>();
      unknown.forEach(path -> kinds.add(reading.open(path, List.of(), null, "test", columns)));
      List<Part> parts = new ArrayList<>();
      try {
        long total = Sizes.sum(toFit.size(), id.size());
        total = kinds.stream().mapToLong(Dataset::size).reduce(total, Sizes::sum);
        try (Progress progress = new Progress("Running the model", total)) {
          parts.add(record(opened, toFit, detectors, progress, parts));
          parts.add(record(opened, id, detectors, progress, parts));
          for (Dataset kind : kinds) {
            parts.add(record(opened, kind, detectors, progress, parts));
          }
        }
        compare(opened, opened.name(), parts, detectors);
      } finally {
        parts.forEach(part -> part.outputs().close());
      }
    }
  }

  private Part record(
      Model opened, Dataset data, List<Detector> detectors, Progress progress, List<Part> before) {
    long done = before.stream().mapToLong(part -> part.outputs().size()).sum();
    RecordedOutputs outputs =
        DetectorComparison.record(
            opened,
            data,
            detectors,
            RecordedOutputs.Options.defaults()
                .withBatchSize(batchSize)
                .withSeed(seed)
                .withProgress(rows -> progress.to(done + rows)));
    Skips.report(spec.commandLine().getErr(), data.name(), outputs.skipped());
    return new Part(data.name(), data, outputs);
  }

  private void compareCached(List<Detector> detectors) {
    if (file != null || known != null || !unknown.isEmpty() || fit != null) {
      throw new OutriggerException(
          "Give either a model with data (--model, --id, --ood) or cached features (--id-features,"
              + " --ood-features), not both.");
    }
    if (knownFeatures == null || unknownFeatures.isEmpty()) {
      throw new OutriggerException("Cached features need --id-features and --ood-features.");
    }
    List<CachedFeatures> open = new ArrayList<>();
    try {
      List<Part> parts = new ArrayList<>();
      if (fitFeatures != null) {
        CachedFeatures first = keep(open, CachedFeatures.read(fitFeatures, null));
        parts.add(part(fitFeatures, first));
        parts.add(part(knownFeatures, keep(open, CachedFeatures.read(knownFeatures, first))));
      } else {
        CachedFeatures all = keep(open, CachedFeatures.read(knownFeatures, null));
        int[][] halves = halves(Math.toIntExact(all.size()));
        parts.add(part(knownFeatures, keep(open, all.subset(halves[0]))));
        parts.add(part(knownFeatures, keep(open, all.subset(halves[1]))));
      }
      for (Path path : unknownFeatures) {
        parts.add(part(path, keep(open, CachedFeatures.read(path, open.get(0)))));
      }
      compare(null, "cached features", parts, detectors);
    } finally {
      open.forEach(CachedFeatures::close);
    }
  }

  private static CachedFeatures keep(List<CachedFeatures> open, CachedFeatures features) {
    open.add(features);
    return features;
  }

  private static Part part(Path path, CachedFeatures features) {
    return new Part(String.valueOf(path.getFileName()), null, features);
  }

  private int[][] halves(int n) {
    if (n < 2) {
      throw new OutriggerException(
          "One known row cannot be split in two halves: give --fit-features or more rows.");
    }
    try (Rng rng = Rng.named(seed, "detect compare");
        PointerScope scope = new PointerScope()) {
      int[] order = Tensors.ints(rng.permutation(n));
      return new int[][] {
        Arrays.stream(order, 0, n / 2).sorted().toArray(),
        Arrays.stream(order, n / 2, n).sorted().toArray()
      };
    }
  }

  private void compare(
      @Nullable Model opened, String name, List<Part> parts, List<Detector> detectors) {
    DetectorComparison comparison;
    try (Progress progress = new Progress("Comparing", detectors.size())) {
      int[] done = {0};
      comparison =
          DetectorComparison.of(
              opened,
              parts.get(0),
              parts.get(1),
              parts.subList(2, parts.size()),
              detectors,
              batchSize,
              seed,
              slug -> {
                progress.to(done[0]++);
                progress.say(slug);
              });
    }
    if (comparison.rows().isEmpty()) {
      throw new OutriggerException(
          "No detector could be used. " + comparison.left().get(0).reason());
    }
    if (report != null) {
      GuardReport.of(comparison, name, parts.get(1).name()).write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(Json.pretty(comparison.toJson()));
      return;
    }
    print(comparison);
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }

  private void print(DetectorComparison comparison) {
    PrintWriter out = spec.commandLine().getOut();
    List<String> header = new ArrayList<>(List.of("detector"));
    comparison.rows().get(0).kinds().forEach(kind -> header.add("AUROC " + kind.name()));
    header.addAll(List.of("mean AUROC", "mean FPR95", "fit", "score a row"));
    TextTable table = new TextTable(header.toArray(new String[0]));
    for (DetectorComparison.Row row : comparison.rows()) {
      List<String> cells = new ArrayList<>(List.of(row.slug()));
      row.kinds().forEach(kind -> cells.add(ReportPage.number(kind.auroc().estimate())));
      cells.add(ReportPage.number(row.meanAuroc()));
      cells.add(ReportPage.percent(row.meanFpr()));
      cells.add(String.format(Locale.ROOT, "%.2f s", row.fitSeconds()));
      cells.add(String.format(Locale.ROOT, "%.1f µs", row.scoreMicros()));
      table.row(cells);
    }
    table.print(out);
    if (!comparison.left().isEmpty()) {
      out.println();
      out.println("Left out:");
      comparison.left().forEach(left -> out.println("  " + left.slug() + ": " + left.reason()));
    }
  }
}
