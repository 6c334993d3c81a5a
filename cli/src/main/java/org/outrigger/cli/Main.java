package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.List;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Bundle;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command line. */
@Command(
    name = "outrigger",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    description = "Keeps machine-learning models upright when the data shifts.",
    subcommands = {
      DemoCommand.class,
      InspectCommand.class,
      TrainCommand.class,
      ZeroShotCommand.class,
      SayNoCommand.class,
      GuardCommand.class,
      DetectCommand.class,
      AdaptCommand.class,
      StreamCommand.class,
      RankCommand.class,
      SelectCommand.class,
      CalibrateCommand.class,
      EdgeCommand.class,
      DriftCommand.class,
      GpCommand.class,
      ScalingCommand.class,
      DatasetsCommand.class,
      MethodsCommand.class,
      ClaimsCommand.class,
      GoldenCommand.class,
      ServeCommand.class,
      MonitorCommand.class,
      SoakCommand.class,
      CompletionCommand.class,
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger demo",
      "  outrigger inspect resnet.pt",
      "  outrigger guard fit --model resnet.pt --data validation/ --out resnet.guard",
      "  outrigger guard check --guard resnet.guard --data incoming/ --out verdicts.csv",
      "",
      "Run 'outrigger COMMAND --help' for a command's options and examples.",
    },
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:done",
      "1:the command ran, and the answer is no: a claim or a golden case does not hold,"
          + " or data drifts (monitor --fail-on-drift)",
      "2:the input or an option cannot work; one line says what to do",
      "3:a bug of Outrigger's, with a stack trace",
      "130:stopped by Ctrl-C",
    })
public final class Main implements Runnable {
  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  @Option(
      names = "--stacktrace",
      scope = ScopeType.INHERIT,
      description = "Show the whole stack trace of an error.")
  private boolean stacktrace;

  /** Runs one command and exits. */
  public static void main(String[] arguments) {
    System.exit(run(arguments));
  }

  /** Runs one command; for tests and for programs that embed it. */
  public static int run(String... arguments) {
    return commandLine().execute(arguments);
  }

  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Main());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setUsageHelpAutoWidth(true);
    line.setExecutionExceptionHandler(Main::failed);
    line.setParameterExceptionHandler(Main::misused);
    line.getSubcommands().values().forEach(Main::inherit);
    return line;
  }

  private static void inherit(CommandLine line) {
    line.getCommandSpec().exitCodeOnInvalidInput(ExitCode.USER);
    line.getSubcommands().values().forEach(Main::inherit);
  }

  /** One line, not the whole usage: what is wrong, the nearest option, where help is. */
  private static int misused(ParameterException error, String[] arguments) {
    CommandLine line = error.getCommandLine();
    String problem = String.valueOf(error.getMessage()).lines().findFirst().orElse("").strip();
    List<String> near =
        error instanceof UnmatchedArgumentException unmatched
            ? unmatched.getSuggestions()
            : List.of();
    line.getErr()
        .println(
            "outrigger: "
                + problem
                + (problem.endsWith(".") ? "" : ".")
                + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
                + " See '"
                + line.getCommandSpec().qualifiedName(" ")
                + " --help'.");
    return ExitCode.USER;
  }

  private static int failed(Exception error, CommandLine line, CommandLine.ParseResult parsed) {
    PrintWriter err = line.getErr();
    boolean trace = parsed.expandedArgs().contains("--stacktrace");
    if (error instanceof OutriggerException ours) {
      err.println("outrigger: " + ours.firstLine());
      if (trace) {
        ours.printStackTrace(err);
      }
      return ExitCode.USER;
    }
    err.println("outrigger: this is a bug of Outrigger's, please report it with what follows.");
    error.printStackTrace(err);
    return ExitCode.BUG;
  }

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }

  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"outrigger " + Bundle.version(), "java " + java.lang.Runtime.version()};
    }
  }
}
