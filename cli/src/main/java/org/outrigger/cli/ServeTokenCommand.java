package org.outrigger.cli;

import java.util.Locale;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.Tokens;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Makes a token. */
@Command(
    name = "token",
    mixinStandardHelpOptions = true,
    description = {
      "Makes a random token and the line that a file of tokens needs.",
      "The token is shown once; the file holds only its SHA-256."
    },
    footerHeading = "%nExample:%n",
    footer = {
      "  outrigger serve token shop --role infer",
      "",
      "The first line of the output is for the client, the second for the server's file."
    })
final class ServeTokenCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "NAME", description = "Who will use it; one word.")
  private String name;

  @Option(
      names = "--role",
      paramLabel = "ROLE",
      defaultValue = "infer",
      description = "infer, or admin, which may also exchange guards; ${DEFAULT-VALUE} by default.")
  private String role;

  @Override
  public void run() {
    if (!name.matches("[A-Za-z0-9._-]{1,64}")) {
      throw new OutriggerException("'" + name + "' is no name for a token: use one plain word.");
    }
    Tokens.Role chosen;
    try {
      chosen = Tokens.Role.valueOf(role.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new OutriggerException("role = " + role + " is unknown: use infer or admin.", e);
    }
    String token = Tokens.generate();
    spec.commandLine().getOut().println(token);
    spec.commandLine().getOut().println(Tokens.line(name, chosen, token));
  }
}
