package org.outrigger.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.outrigger.claims.golden.GoldenRunner;
import org.outrigger.core.io.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Runs golden vectors. */
@Command(
    name = "golden",
    mixinStandardHelpOptions = true,
    description = {
      "Runs golden vectors: inputs and outputs that were computed with the papers' own code.",
      "Exit code 1 if a case of a known method does not agree."
    },
    footerHeading = "%nExample:%n",
    footer = {"  outrigger golden golden/      (laid out as SLUG/CASE.json)"})
final class GoldenCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "DIR", description = "A folder of SLUG/CASE.json, or one slug's folder.")
  private Path folder;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public Integer call() {
    var out = spec.commandLine().getOut();
    GoldenRunner.Report report = new GoldenRunner().runAll(folder);
    List<GoldenRunner.Result> results = report.results();
    long passed = results.stream().filter(GoldenRunner.Result::passed).count();
    if (json) {
      out.println(Json.pretty(java.util.Map.of("results", results, "waiting", report.waiting())));
    } else {
      TextTable table = new TextTable("slug", "case", "numbers", "result");
      results.forEach(
          r ->
              table.row(
                  r.slug(),
                  r.name(),
                  Integer.toString(r.compared()),
                  r.passed() ? agrees(r) : String.join("; ", r.problems())));
      table.print(out);
      out.println();
      out.println(
          passed
              + " of "
              + results.size()
              + " cases agree"
              + (report.waiting().isEmpty() && report.waitingOutputs() == 0
                  ? "."
                  : "; "
                      + report.waiting().size()
                      + " cases and "
                      + report.waitingOutputs()
                      + " outputs of others wait for methods that are not built yet."));
    }
    return report.passed() ? ExitCode.OK : ExitCode.NO;
  }

  private static String agrees(GoldenRunner.Result result) {
    return result.waiting().isEmpty()
        ? "agrees"
        : "agrees; " + result.waiting().size() + " outputs wait";
  }
}
