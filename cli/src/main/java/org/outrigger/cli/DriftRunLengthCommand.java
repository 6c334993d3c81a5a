package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.stream.DriftDetector;
import org.outrigger.stream.RunLength;
import org.outrigger.stream.RunLength.Source;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Simulates how long detectors run. */
@Command(
    name = "run-length",
    mixinStandardHelpOptions = true,
    description = {
      "Simulates how many rows pass between false alarms, and how late a change is found.",
      "The stream is made of errors with a constant rate, or of standard normal numbers."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger drift run-length --errors 0.2 --detector ddm,hddm-w,adwin",
      "  outrigger drift run-length --errors 0.05 --change 0.1 --detector hddm-a",
      "  outrigger drift run-length --detector cusum:threshold=10,kswin --change 1",
    })
final class DriftRunLengthCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = {"--detector", "--detectors"},
      required = true,
      paramLabel = "NAME,...",
      description = "Detectors with settings.")
  private String list;

  @Option(
      names = "--errors",
      paramLabel = "RATE",
      description = "The rate of errors; standard normal numbers without this.")
  private @Nullable Double errors;

  @Option(
      names = "--change",
      paramLabel = "VALUE",
      description = "Another rate, or mean, from row 1,001 on: measures the delay.")
  private @Nullable Double change;

  @Option(
      names = "--runs",
      paramLabel = "N",
      defaultValue = "200",
      description = "Streams; ${DEFAULT-VALUE} by default.")
  private int runs;

  @Option(
      names = "--longest",
      paramLabel = "N",
      defaultValue = "10000",
      description = "Rows of a stream at most; ${DEFAULT-VALUE} by default.")
  private long longest;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the streams; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public void run() {
    List<String> texts = List.of(list.split(",", -1));
    // All names and settings are read before the first simulation.
    Methods.parse(DriftDetector.class, list);
    Source before = source(errors, 0);
    boolean normal = errors == null;
    double after = change == null ? 0 : change;
    PrintWriter out = spec.commandLine().getOut();
    List<Map<String, Object>> all = new ArrayList<>();
    TextTable table =
        new TextTable("detector", "rows an alarm", "95 % interval", "delay", "missed");
    try (Progress progress = new Progress("Simulating", texts.size())) {
      for (String text : texts) {
        progress.say(text.strip());
        RunLength quiet =
            RunLength.simulate(
                () -> Methods.parseOne(DriftDetector.class, text), before, runs, longest, seed);
        RunLength delay =
            change == null
                ? null
                : delay(text, before, source(normal ? null : Double.valueOf(after), after));
        all.add(toJson(text.strip(), quiet, delay));
        table.row(
            text.strip(),
            rows(quiet.mean()),
            rows(quiet.low()) + " to " + rows(quiet.high()),
            delay == null ? "-" : rows(delay.median()),
            delay == null ? "-" : Integer.toString(delay.runs() - delay.alarms()));
        progress.to(all.size());
      }
    }
    if (json) {
      out.println(Json.pretty(all));
    } else {
      table.print(out);
    }
  }

  private static Source source(@Nullable Double rate, double mean) {
    return rate == null ? Source.normal(mean, 1) : Source.errors(rate);
  }

  /** Streams that change after a detector has seen a thousand rows without an alarm. */
  private RunLength delay(String text, Source before, Source after) {
    return RunLength.simulateDelay(
        () -> Methods.parseOne(DriftDetector.class, text),
        before,
        after,
        1000,
        runs,
        longest,
        seed);
  }

  private static Map<String, Object> toJson(
      String text, RunLength quiet, @Nullable RunLength delay) {
    Map<String, Object> one = new LinkedHashMap<>();
    one.put("detector", text);
    one.put("rowsAnAlarm", quiet.mean());
    one.put("low", quiet.low());
    one.put("high", quiet.high());
    if (delay != null) {
      one.put("delay", delay.median());
      one.put("missed", delay.runs() - delay.alarms());
    }
    return one;
  }

  private static String rows(double value) {
    return Double.isInfinite(value) ? "no alarm" : String.format(Locale.ROOT, "%,.0f", value);
  }
}
