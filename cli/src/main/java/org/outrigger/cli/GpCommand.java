package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Regression on tables with honest intervals. */
@Command(
    name = "gp",
    mixinStandardHelpOptions = true,
    description = {
      "Predicts a numeric column of a table, with intervals that can be trusted.",
      "An infinitely wide network as a Gaussian or heavy-tailed process."
    },
    subcommands = {GpFitCommand.class, GpPredictCommand.class},
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger gp fit --data diabetes --target progression --out diabetes.gp",
      "  outrigger gp predict --model diabetes.gp --data new.csv \\",
      "      --out predictions.parquet"
    })
final class GpCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
