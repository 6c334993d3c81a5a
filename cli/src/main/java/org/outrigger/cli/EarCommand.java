package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Continual learning with a frozen encoder. */
@Command(
    name = "ear",
    mixinStandardHelpOptions = true,
    description = "Learns domain after domain with a frozen encoder, and forgets none.",
    subcommands = {EarTrainCommand.class, EarPredictCommand.class, EarReportCommand.class},
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt ear train --model camera.pt --domain day=day/ \\",
      "      --out camera.ear",
      "  outrigger adapt ear train --from camera.ear --domain night=night/ \\",
      "      --out camera.ear",
      "  outrigger adapt ear predict --ear camera.ear --data incoming/ \\",
      "      --out routed.csv",
      "  outrigger adapt ear report --ear camera.ear --domain day=test-day/"
    })
final class EarCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
