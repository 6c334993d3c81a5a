package org.outrigger.cli;

import java.nio.file.Path;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.Inspection;
import org.outrigger.core.model.Model;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Shows what a model is made of and what can be done with it. */
@Command(
    name = "inspect",
    mixinStandardHelpOptions = true,
    description = {
      "Shows what a model is made of, and which methods apply to it.",
      "Lists layers, parameters, normalisation layers and feature points, and says of each method"
          + " that does not apply why not."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger inspect resnet.pt",
      "  outrigger inspect model.onnx --json",
      "  outrigger inspect weights.safetensors --arch resnet20 \\",
      "      --input-shape 3x32x32 --classes 10"
    })
final class InspectCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "MODEL", description = "A .pt, .safetensors or .onnx file.")
  private Path file;

  @Mixin private ModelArguments model;
  @Mixin private Device device;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public void run() {
    device.apply();
    try (Model opened = model.open(file, device)) {
      long[] shape = model.shape();
      Inspection inspection =
          shape.length == 0 ? Inspection.of(opened) : Inspection.of(opened, shape);
      spec.commandLine().getOut().println(json ? Json.pretty(inspection) : inspection.render());
    }
  }
}
