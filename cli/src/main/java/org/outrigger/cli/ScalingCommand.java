package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Scaling laws. */
@Command(
    name = "scaling",
    mixinStandardHelpOptions = true,
    description = "Measures how loss falls with model size and data, and what to buy for a target.",
    subcommands = {ScalingRunCommand.class, ScalingFitCommand.class},
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger scaling run --synthetic --out runs/",
      "  outrigger scaling fit --runs runs/runs.csv --target-loss 1.5",
      "  outrigger scaling fit --runs mine.csv --report scaling.html"
    })
final class ScalingCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
