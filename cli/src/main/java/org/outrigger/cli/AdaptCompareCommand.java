package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.evaluate.stream.Domain;
import org.outrigger.evaluate.stream.StreamProtocol;
import org.outrigger.evaluate.stream.TestStream;
import org.outrigger.guard.AdapterComparison;
import org.outrigger.guard.AdapterReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares adapters on a stream. */
@Command(
    name = "compare",
    mixinStandardHelpOptions = true,
    description = {
      "Compares test-time adapters on a stream of labelled test data.",
      "Shows accuracy, calibration error, time, rows used for gradients, values moved and memory,"
          + " by domain; labels are for scoring alone."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt compare --model m.safetensors --data fashion-mnist \\",
      "      --stream continual --adapters all --report adapters.html",
      "  outrigger adapt compare --model resnet.pt --data test/ --stream correlated \\",
      "      --corruptions fog,contrast --adapters source,tent,lame,eata:beta=0",
      "  outrigger adapt compare --model m.safetensors --domain day=day/ \\",
      "      --domain night=night/ --adapters safety-net/tent,unmix-tns",
      "",
      "A stack is written from the outside in: label-shift-adapter/open-set-tta/eata/unmix-tns."
          + " 'outrigger methods --room adapt' lists the adapters."
    })
final class AdaptCompareCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .pt (TorchScript), .onnx or .safetensors file.")
  private Path file;

  @Option(
      names = "--data",
      paramLabel = "PATH",
      description = "Labelled images that the stream corrupts.")
  private @Nullable Path data;

  @Option(
      names = "--domain",
      paramLabel = "NAME=PATH",
      description = "Labelled data of one domain as they are, in place of --data; repeated.")
  private Map<String, Path> domains = new LinkedHashMap<>();

  @Option(
      names = "--source-data",
      paramLabel = "PATH",
      description = "Labelled data that the model knows, for adapters that learn from some.")
  private @Nullable Path sourceData;

  @Option(
      names = {"--adapters", "--adapter"},
      paramLabel = "STACK,...",
      defaultValue = "all",
      description = "all, or stacks of adapters with settings; ${DEFAULT-VALUE} by default.")
  private String list;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print all figures as JSON.")
  private boolean json;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the stream; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Mixin private StreamArguments streaming;
  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    if ((data == null) == domains.isEmpty()) {
      throw new OutriggerException(
          "Name --data IMAGES to be corrupted, or one --domain NAME=PATH or more, not both.");
    }
    StreamProtocol protocol = streaming.protocol(seed);
    device.apply();
    List<Adapter> adapters = adapters();
    try (Model opened = model.open(file, device)) {
      List<String> classes = ModelArguments.classNames(opened);
      TestStream stream = stream(protocol, classes);
      IndexedDataset source =
          sourceData == null ? null : memory(reading.open(sourceData, classes, null, "train"));
      AdapterComparison comparison;
      try (Progress progress =
          new Progress("Adapting", Math.multiplyExact(stream.rows(), adapters.size()))) {
        int[] at = {-1};
        String[] last = {""};
        comparison =
            AdapterComparison.of(
                opened,
                source,
                stream,
                adapters,
                (name, rows) -> {
                  if (!name.equals(last[0])) {
                    last[0] = name;
                    at[0]++;
                    progress.say(name);
                  }
                  progress.to(at[0] * stream.rows() + rows);
                });
      }
      tell(comparison, opened, protocol);
    }
  }

  private List<Adapter> adapters() {
    if (!list.strip().toLowerCase(Locale.ROOT).equals("all")) {
      return Adapters.parseAll(list);
    }
    return Adapters.parseAll(
        String.join(",", Methods.cards(Adapter.class).stream().map(card -> card.slug()).toList()));
  }

  private IndexedDataset memory(Dataset rows) {
    return Tables.inMemory(rows, spec.commandLine().getErr());
  }

  private TestStream stream(StreamProtocol protocol, List<String> classes) {
    if (data != null) {
      IndexedDataset images = memory(reading.open(data, classes, null));
      requireLabels(images);
      return protocol.over(images);
    }
    List<Domain> all = new ArrayList<>();
    domains.forEach(
        (name, path) -> {
          IndexedDataset rows = memory(reading.open(path, classes, null));
          requireLabels(rows);
          all.add(new Domain(name, rows));
        });
    return protocol.over(all);
  }

  private static void requireLabels(IndexedDataset rows) {
    if (!rows.labelled()) {
      throw new OutriggerException(
          rows.name()
              + " has no labels, so accuracy cannot be measured: use labelled data, or 'outrigger"
              + " adapt run', which needs none.");
    }
  }

  private void tell(AdapterComparison comparison, Model opened, StreamProtocol protocol) {
    if (comparison.rows().isEmpty()) {
      throw new OutriggerException(
          "No adapter could be used. " + comparison.left().get(0).reason());
    }
    if (report != null) {
      AdapterReport.of(
              comparison,
              opened.name(),
              data != null ? data.toString() : String.join(", ", domains.keySet()),
              streaming.describe(protocol, data != null))
          .write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(Json.pretty(comparison.toJson()));
      return;
    }
    TextTable table =
        new TextTable(
            "adapter",
            "accuracy",
            "last domain",
            "ECE",
            "time a row",
            "gradient rows",
            "moved",
            "memory",
            "restarts");
    for (AdapterComparison.Row row : comparison.rows()) {
      var last = row.report().domains().get(row.report().domains().size() - 1);
      table.row(
          List.of(
              row.adapter(),
              ReportPage.percent(row.report().accuracy()),
              ReportPage.percent(last.accuracy()),
              ReportPage.percent(row.report().total().ece()),
              String.format(Locale.ROOT, "%.3f ms", row.report().total().millisPerRow()),
              String.format(Locale.ROOT, "%,d", row.backward()),
              String.format(Locale.ROOT, "%,d", row.parameters()),
              String.format(Locale.ROOT, "%.0f MB", row.peakMegabytes()),
              Long.toString(row.resets())));
    }
    table.print(out);
    if (!comparison.left().isEmpty()) {
      out.println();
      out.println("Left out:");
      comparison.left().forEach(left -> out.println("  " + left.adapter() + ": " + left.reason()));
    }
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }
}
