package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Detectors without a guard. */
@Command(
    name = "detect",
    mixinStandardHelpOptions = true,
    description = "Works with detectors of unknown inputs.",
    subcommands = {DetectCompareCommand.class, DetectModalitiesCommand.class},
    footerHeading = "%nExample:%n",
    footer = {
      "  outrigger detect compare --model resnet.pt --id test/ --ood scans/ noise/ \\",
      "      --report detectors.html"
    })
final class DetectCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
