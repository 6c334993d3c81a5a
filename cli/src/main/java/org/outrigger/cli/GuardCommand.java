package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Fits, uses and measures guards. */
@Command(
    name = "guard",
    mixinStandardHelpOptions = true,
    description = "Fits a guard around a model, checks data with it, measures it.",
    subcommands = {
      GuardFitCommand.class,
      GuardCheckCommand.class,
      GuardEvaluateCommand.class,
      GuardInfoCommand.class
    },
    footerHeading = "%nExample:%n",
    footer = {
      "  outrigger guard fit --model resnet.pt --data validation/ --out resnet.guard",
      "  outrigger guard check --guard resnet.guard --data incoming/ --out verdicts.csv"
    })
final class GuardCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
