package org.outrigger.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.claims.Claim;
import org.outrigger.claims.ClaimFiles;
import org.outrigger.claims.ClaimRegistry;
import org.outrigger.claims.ClaimReport;
import org.outrigger.claims.ClaimRunner;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Measurements;
import org.outrigger.claims.Scale;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Lists claims and runs them. */
@Command(
    name = "claims",
    mixinStandardHelpOptions = true,
    description = "Does each method keep its paper's promise? Lists the claims, or measures them.",
    subcommands = {
      ClaimsCommand.ListCommand.class,
      ClaimsCommand.RunCommand.class,
      ClaimsCommand.ReportCommand.class
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger claims list",
      "  outrigger claims run temperature-scaling",
      "  outrigger claims run --all --out claims/",
    })
final class ClaimsCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }

  /** Lists them; nothing is run. */
  @Command(
      name = "list",
      mixinStandardHelpOptions = true,
      description = "Lists the claims.",
      footerHeading = "%nExamples:%n",
      footer = {"  outrigger claims list", "  outrigger claims list --json"})
  static final class ListCommand implements Runnable {
    @Spec private CommandSpec spec;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public void run() {
      var out = spec.commandLine().getOut();
      List<Claim> claims = ClaimRegistry.all();
      if (json) {
        List<Object> all = new ArrayList<>();
        claims.forEach(claim -> all.add(toJson(claim)));
        out.println(Json.pretty(all));
        return;
      }
      TextTable table = new TextTable("claim", "room", "what must hold");
      claims.forEach(
          claim ->
              table.row(
                  claim.slug(), claim.room().name().toLowerCase(Locale.ROOT), statement(claim)));
      table.print(out);
      out.println();
      out.println(claims.size() + " claims. 'outrigger claims run NAME' measures one.");
    }

    private static Map<String, Object> toJson(Claim claim) {
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("slug", claim.slug());
      json.put("room", claim.room());
      json.put("title", claim.title());
      json.put("promise", claim.promise());
      json.put("paper", claim.paper());
      json.put("statement", claim.statement().stream().map(Inequality::text).toList());
      json.put("baselines", claim.baselines());
      json.put("protocol", claim.protocol());
      json.put("seeds", claim.seeds());
      return json;
    }
  }

  /** Measures them. */
  @Command(
      name = "run",
      mixinStandardHelpOptions = true,
      description = {
        "Measures claims on two cores within minutes.",
        "Exit code 1 if one does not hold.",
        "Public data that a claim needs is looked for in the folder that the environment variable"
            + " OUTRIGGER_DATA names; without it --all skips that claim."
      },
      footerHeading = "%nExamples:%n",
      footer = {
        "  outrigger claims run outlier-exposure --seeds 0,1,2,3,4",
        "  outrigger claims run --all --out claims/",
        "  outrigger claims run --all --scale smoke     (checks the code, not the claims)",
      })
  static final class RunCommand implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Parameters(
        arity = "0..1",
        paramLabel = "NAME[,NAME...]",
        description = "Which claims; see 'outrigger claims list'.")
    private @Nullable String names;

    @Option(names = "--all", description = "Run all claims.")
    private boolean all;

    @Option(
        names = "--seeds",
        split = ",",
        paramLabel = "N",
        description = "Seeds, separated by commas; each claim's own (0,1,2) by default.")
    private @Nullable List<Long> seeds;

    @Option(
        names = "--scale",
        paramLabel = "SCALE",
        defaultValue = "FULL",
        description = "full, or smoke to check the code in seconds; full by default.")
    private Scale scale = Scale.FULL;

    @Option(
        names = "--out",
        paramLabel = "DIR",
        description = "Write claims.json, claims.html and a Markdown page a room here.")
    private @Nullable Path out;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Mixin private Device device = new Device();

    @Override
    public Integer call() {
      List<Claim> claims = chosen();
      if (out != null) {
        ClaimFiles.prepare(out);
      }
      device.apply();
      List<ClaimReport> reports = new ArrayList<>();
      if (all) {
        claims = withData(claims);
      }
      int total = claims.stream().mapToInt(claim -> seedsOf(claim).size()).sum();
      try (Progress progress = new Progress("claims", total)) {
        ClaimRunner runner = new ClaimRunner(scale, new Reporter(progress));
        for (Claim claim : claims) {
          ClaimReport report = runner.run(claim, seedsOf(claim));
          reports.add(report);
          if (!json) {
            print(report);
          }
        }
      }
      if (json) {
        spec.commandLine()
            .getOut()
            .println(Json.pretty(reports.stream().map(ClaimReport::toMap).toList()));
      }
      if (out != null) {
        ClaimFiles.write(out, command(), reports);
      }
      long held = reports.stream().filter(ClaimReport::holds).count();
      if (!json) {
        spec.commandLine().getOut().println(held + " of " + reports.size() + " claims hold.");
      }
      return held == reports.size() ? ExitCode.OK : ExitCode.NO;
    }

    private List<Claim> chosen() {
      if (all == (names != null)) {
        throw new OutriggerException(
            "Name the claims to run, or give --all; 'outrigger claims list' shows them.");
      }
      return names == null ? ClaimRegistry.all() : ClaimRegistry.parse(names);
    }

    /** Those that can be measured; says of the others what to put where. */
    private List<Claim> withData(List<Claim> claims) {
      ClaimRunner runner = new ClaimRunner(scale, new ClaimRunner.Listener() {});
      List<Claim> ready = claims.stream().filter(runner::ready).toList();
      claims.stream()
          .filter(claim -> !ready.contains(claim))
          .forEach(
              claim ->
                  spec.commandLine()
                      .getErr()
                      .println("Skipped " + claim.slug() + ": " + claim.missing()));
      return ready;
    }

    private List<Long> seedsOf(Claim claim) {
      return seeds == null ? claim.seeds() : seeds;
    }

    private void print(ClaimReport report) {
      var printer = spec.commandLine().getOut();
      printer.println(report.claim().slug() + ": " + report.claim().promise());
      printer.println();
      ClaimReport.Table table = report.table();
      TextTable text = new TextTable(table.header().toArray(new String[0]));
      table.rows().forEach(text::row);
      text.print(printer);
      printer.println();
      printer.println(report.finding().words());
      printer.println("=> " + report.outcome());
      if (!report.claim().tried().isEmpty()) {
        printer.println("Tried: " + report.claim().tried());
      }
      printer.println();
      printer.flush();
    }

    /** What was asked for, in full. */
    private String command() {
      return "outrigger claims run "
          + (names == null ? "--all" : names)
          + (seeds == null
              ? ""
              : " --seeds " + seeds.stream().map(String::valueOf).collect(Collectors.joining(",")))
          + " --scale "
          + scale.name().toLowerCase(Locale.ROOT)
          + (device.threads() == 0 ? "" : " --threads " + device.threads())
          + " --out "
          + out;
    }
  }

  /** Joins what several runs wrote. */
  @Command(
      name = "report",
      mixinStandardHelpOptions = true,
      description = {
        "Joins the results of several runs on one page.",
        "Where two runs measured the same claim, the later folder counts."
      },
      footerHeading = "%nExample:%n",
      footer = {
        "  outrigger claims run palm --out a/",
        "  outrigger claims run abet --out b/",
        "  outrigger claims report a/ b/ --out claims/",
      })
  static final class ReportCommand implements Runnable {
    @Spec private CommandSpec spec;

    @Parameters(
        arity = "1..*",
        paramLabel = "DIR",
        description = "Folders that 'claims run --out' wrote.")
    private List<Path> folders = List.of();

    @Option(
        names = "--out",
        paramLabel = "DIR",
        required = true,
        description = "Write claims.json, claims.html and a Markdown page a room here.")
    private Path out;

    @Override
    public void run() {
      ClaimFiles.prepare(out);
      Map<String, ClaimReport> reports = new TreeMap<>();
      for (Path folder : folders) {
        ClaimFiles.read(folder).forEach(report -> reports.put(report.claim().slug(), report));
      }
      List<ClaimReport> all = List.copyOf(reports.values());
      ClaimFiles.write(out, "outrigger claims report", all);
      TextTable table = new TextTable("claim", "outcome", "figures");
      all.forEach(r -> table.row(r.claim().slug(), r.outcome(), r.finding().words()));
      table.print(spec.commandLine().getOut());
    }
  }

  /** Counts seeds. */
  private static final class Reporter implements ClaimRunner.Listener {
    private final Progress progress;
    private long done;

    Reporter(Progress progress) {
      this.progress = progress;
    }

    @Override
    public void started(Claim claim, long seed) {
      progress.say(claim.slug() + ", seed " + seed);
    }

    @Override
    public void measured(Claim claim, Measurements.Run run) {
      progress.to(++done);
    }
  }

  private static String statement(Claim claim) {
    return claim.statement().stream().map(Inequality::text).collect(Collectors.joining("; "));
  }
}
