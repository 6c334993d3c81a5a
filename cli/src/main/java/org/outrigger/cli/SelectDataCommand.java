package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** What a data set is good for, and which rows of it to take. */
@Command(
    name = "data",
    mixinStandardHelpOptions = true,
    description = "Measures data sets, and chooses rows to train on.",
    subcommands = {
      SelectDataMeasureCommand.class,
      SelectDataCompareCommand.class,
      SelectDataChooseCommand.class,
      SelectDataLifelongCommand.class,
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger select data measure --data digits --report digits.html",
      "  outrigger select data compare --data before.csv after.csv --quality score",
      "  outrigger select data choose --data digits --budget 200 --out chosen.csv",
      "  outrigger select data lifelong --model m.safetensors --pool pool.safetensors \\",
      "      --add april/ --train-budget 500 --pool-budget 5000 --out april.csv",
    })
final class SelectDataCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
