package org.outrigger.cli;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.outrigger.claims.Soak;
import org.outrigger.core.io.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Watches memory over a long run. */
@Command(
    name = "soak",
    mixinStandardHelpOptions = true,
    description = {
      "Does memory stay flat over a long run? Trains, checks and adapts, and measures.",
      "Trains a small network, lets a guard check batches of 32 images, lets stacks of adapters follow"
          + " them, and reads the process's"
          + " resident memory along the way. Exit code 1 if it grows by more than 2 %% and more than"
          + " 20 MB after the warm-up."
    },
    footerHeading = "%nExamples:%n",
    footer = {"  outrigger soak", "  outrigger soak --steps 100000 --checks 100000"})
final class SoakCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "20000",
      description = "Training steps; ${DEFAULT-VALUE} by default.")
  private int steps;

  @Option(
      names = "--checks",
      paramLabel = "N",
      defaultValue = "20000",
      description = "Batches that the guard checks; ${DEFAULT-VALUE} by default.")
  private int checks;

  @Option(
      names = "--batches",
      paramLabel = "N",
      defaultValue = "5000",
      description = "Batches that each stack of adapters follows; ${DEFAULT-VALUE} by default.")
  private int batches;

  @Option(
      names = "--adapters",
      split = ",",
      paramLabel = "STACK,...",
      description = "The stacks of adapters; four of different kinds by default.")
  private @Nullable List<String> stacks;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private Device device = new Device();

  @Override
  public Integer call() {
    Soak.Settings usual = Soak.Settings.defaults();
    Soak.Settings settings =
        new Soak.Settings(
            steps, checks, batches, stacks == null ? usual.stacks() : stacks, usual.rows());
    device.apply();
    var out = spec.commandLine().getOut();
    List<Soak.Phase> phases;
    try (Progress progress =
        new Progress("soak", (long) steps + checks + (long) batches * settings.stacks().size())) {
      phases =
          new Soak(
                  settings,
                  (phase, done, megabytes) -> {
                    progress.to(before(phase, settings) + done);
                    if (!json) {
                      out.printf(Locale.ROOT, "%s %d: %.1f MB resident%n", phase, done, megabytes);
                      out.flush();
                    }
                  })
              .run();
    }
    boolean flat = phases.stream().allMatch(Soak.Phase::flat);
    if (json) {
      out.println(Json.pretty(Map.of("phases", phases, "flat", flat)));
    } else {
      TextTable table =
          new TextTable("phase", "count", "after warm-up", "at the end", "growth", "limit", "");
      for (Soak.Phase phase : phases) {
        table.row(
            phase.name(),
            Long.toString(phase.count()),
            megabytes(phase.first()),
            megabytes(phase.last()),
            megabytes(phase.growth()),
            megabytes(phase.limit()),
            phase.flat() ? "flat" : "grows");
      }
      table.print(out);
    }
    return flat ? ExitCode.OK : ExitCode.NO;
  }

  private long before(String phase, Soak.Settings settings) {
    if (phase.equals("training")) {
      return 0;
    }
    int stack = settings.stacks().indexOf(phase);
    return stack < 0 ? steps : (long) steps + checks + (long) stack * batches;
  }

  private static String megabytes(double value) {
    return String.format(Locale.ROOT, "%.1f MB", value);
  }
}
