package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Detectors without a guard. */
@Command(
    name = "detect",
    mixinStandardHelpOptions = true,
    description = "Works with detectors of unknown inputs.",
    subcommands = {
      DetectCompareCommand.class,
      DetectSeparabilityCommand.class,
      DetectModalitiesCommand.class
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger detect compare --model resnet.pt --id test/ --ood scans/ noise/ \\",
      "      --report detectors.html",
      "  outrigger detect separability --model resnet.pt --id birds/ --ood dogs/ \\",
      "      --report birds.html",
      "  outrigger detect modalities --model sensors.safetensors --id test.csv \\",
      "      --ood broken.csv --label state"
    })
final class DetectCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
