package org.outrigger.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.detect.Detector;
import org.outrigger.detect.ModalityReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Reports on the modalities of a model. */
@Command(
    name = "modalities",
    mixinStandardHelpOptions = true,
    description = {
      "Shows what each modality of a model is worth.",
      "Accuracy and detection of unknown inputs by each modality alone and by all together, and"
          + " how much they contradict each other on known and unknown inputs."
    },
    footerHeading = "%nExample:%n",
    footer = {
      "  outrigger detect modalities --model halves.safetensors --id mnist \\",
      "      --ood fashion-mnist"
    })
final class DetectModalitiesCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "A .safetensors file of the architecture multimodal.")
  private Path file;

  @Option(
      names = "--id",
      required = true,
      paramLabel = "PATH",
      description = "Labelled known inputs.")
  private Path known;

  @Option(
      names = "--ood",
      required = true,
      arity = "1..*",
      paramLabel = "PATH",
      description = "Unknown inputs; one kind a path.")
  private List<Path> unknown;

  @Option(
      names = "--detector",
      paramLabel = "NAME",
      defaultValue = "energy",
      description = "A score of logits alone; ${DEFAULT-VALUE} by default.")
  private String detectorName;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    List<Detector> named = Methods.parse(Detector.class, detectorName);
    if (named.size() != 1) {
      throw new OutriggerException("--detector '" + detectorName + "' names several: choose one.");
    }
    device.apply();
    Map<String, ModalityReport> reports = new LinkedHashMap<>();
    try (Detector detector = named.get(0);
        Model opened = model.open(file, device)) {
      Dataset id = reading.open(known, ModelArguments.classNames(opened), null);
      for (Path path : unknown) {
        Dataset ood = reading.open(path, List.of(), null);
        reports.put(ood.name(), ModalityReport.of(opened, id, ood, detector, batchSize));
      }
    }
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      reports.forEach((name, report) -> all.put(name, report.toMap()));
      spec.commandLine().getOut().println(Json.pretty(all));
      return;
    }
    reports.forEach(
        (name, report) -> {
          spec.commandLine().getOut().println("Unknown: " + name);
          spec.commandLine().getOut().println(report.text());
          spec.commandLine().getOut().println();
        });
  }
}
