package org.outrigger.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** What changes over time. */
@Command(
    name = "stream",
    mixinStandardHelpOptions = true,
    description = "Follows streams: corrects models by recent labels, forecasts through failures.",
    subcommands = {
      StreamReLoop2Command.class,
      StreamLinkLoadCommand.class,
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger stream reloop2 --report memory.html",
      "  outrigger stream link-load --report links.html",
    })
final class StreamCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }
}
