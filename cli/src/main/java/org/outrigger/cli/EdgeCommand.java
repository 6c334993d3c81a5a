package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** A device that predicts and a cloud that learns for it. */
@Command(
    name = "edge",
    mixinStandardHelpOptions = true,
    description = {
      "Adapts a device that only predicts from a cloud that learns for it.",
      "Both are processes of their own, which talk over TCP."
    },
    subcommands = {EdgeCloudCommand.class, EdgeDeviceCommand.class},
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger edge cloud --model large.safetensors --student small.safetensors",
      "  outrigger edge device --model small.safetensors --cloud localhost:7070 \\",
      "      --data camera/ --predictions out.csv --method cema"
    })
final class EdgeCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
