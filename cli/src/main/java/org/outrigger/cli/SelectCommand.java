package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Choices before training. */
@Command(
    name = "select",
    mixinStandardHelpOptions = true,
    description = "Chooses what to train on.",
    subcommands = {
      SelectDataCommand.class,
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger select data measure --data answers.jsonl --text answer",
      "  outrigger select data choose --data digits --budget 200 --out chosen.csv",
    })
final class SelectCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
