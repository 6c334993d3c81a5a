package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Lets models follow a stream. */
@Command(
    name = "adapt",
    mixinStandardHelpOptions = true,
    description = "Compares test-time adapters on streams, runs them, and learns new domains.",
    subcommands = {AdaptCompareCommand.class, AdaptRunCommand.class, EarCommand.class},
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt compare --model m.safetensors --data fashion-mnist \\",
      "      --stream continual --report adapters.html",
      "  outrigger adapt run --model resnet.pt --data camera/ --adapter tent \\",
      "      --out predictions.parquet"
    })
final class AdaptCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
