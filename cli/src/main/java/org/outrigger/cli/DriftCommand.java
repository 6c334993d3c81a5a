package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Tells whether data has changed. */
@Command(
    name = "drift",
    mixinStandardHelpOptions = true,
    description = "Tells whether data has changed: two samples, or a stream.",
    subcommands = {DriftCompareCommand.class, DriftWatchCommand.class, DriftRunLengthCommand.class},
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger drift compare --reference january.csv --data june.csv \\",
      "      --report june.html",
      "  outrigger drift watch --data log.csv --column error --detector ddm,adwin",
      "  outrigger drift run-length --errors 0.2 --detector ddm,adwin"
    })
final class DriftCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
