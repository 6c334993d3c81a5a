package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Lets models follow a stream. */
@Command(
    name = "adapt",
    mixinStandardHelpOptions = true,
    description = "Adapts models to other data: to a stream, to a few labels, to other features.",
    subcommands = {
      AdaptCompareCommand.class,
      AdaptRunCommand.class,
      AdaptFewShotCommand.class,
      AdaptHeterogeneousCommand.class,
      EarCommand.class
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt compare --model m.safetensors --data fashion-mnist \\",
      "      --stream continual --report adapters.html",
      "  outrigger adapt run --model resnet.pt --data camera/ --adapter tent \\",
      "      --out predictions.parquet",
      "  outrigger adapt few-shot --model clothes.safetensors --data shop/ \\",
      "      --shots 3 --out adapted.safetensors",
      "  outrigger adapt ear train --model m.safetensors --domain shop=shop/ \\",
      "      --domain street=street/ --out clothes.ear"
    })
final class AdaptCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
