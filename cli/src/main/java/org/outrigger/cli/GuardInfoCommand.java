package org.outrigger.cli;

import java.nio.file.Path;
import java.util.Collection;
import java.util.Locale;
import java.util.stream.Collectors;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Usage;
import org.outrigger.core.io.Json;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardInfo;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Shows where a guard comes from. */
@Command(
    name = "info",
    mixinStandardHelpOptions = true,
    description = "Shows what a guard is made of, where it comes from, and how it did when fitted.",
    footerHeading = "%nExample:%n",
    footer = {"  outrigger guard info resnet.guard"})
final class GuardInfoCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "GUARD", description = "A saved guard.")
  private Path bundle;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public void run() {
    try (Guard guard = Guard.load(bundle)) {
      GuardInfo info = guard.info();
      var out = spec.commandLine().getOut();
      if (json) {
        out.println(Json.pretty(info));
        return;
      }
      out.println("model        " + info.model() + " (SHA-256 " + info.modelSha256() + ")");
      out.println("classes      " + String.join(", ", info.classNames()));
      if (!info.features().isEmpty()) {
        int shown = Math.min(20, info.features().size());
        out.println(
            "features     "
                + String.join(", ", info.features().subList(0, shown))
                + (shown < info.features().size() ? ", ... (" + info.features().size() + ")" : ""));
      }
      out.println(
          "detectors    "
              + info.detectors().stream()
                  .map(GuardInfoCommand::method)
                  .collect(Collectors.joining(", ")));
      out.println(
          "calibrator   " + (info.calibrator() == null ? "none" : method(info.calibrator())));
      if (info.labelSets() != null) {
        out.println("label sets   " + method(info.labelSets()));
        out.println("             " + guard.promise());
      }
      Adapter adapter = guard.adapter();
      if (adapter != null) {
        out.println("adapter      " + info.adapter());
        Usage usage = adapter.usage();
        out.printf(
            Locale.ROOT,
            "             %,d rows seen, %,d used for gradients, %d roll-backs or restarts%n",
            usage.samples(),
            usage.backward(),
            usage.resets());
      }
      if (info.selection() != null) {
        out.println("chosen       " + info.selection());
      }
      out.println(
          String.format(
              Locale.ROOT,
              "threshold    %.6g accepts %.1f %% of known inputs (95 %% interval %.1f to %.1f %%)",
              info.threshold().value(),
              100 * info.threshold().accepted(),
              100 * info.threshold().lower(),
              100 * info.threshold().upper()));
      info.metrics().forEach((name, value) -> out.printf(Locale.ROOT, "%-12s %.4f%n", name, value));
      out.println(
          "data         "
              + info.data()
              + ", "
              + info.rows()
              + " rows, SHA-256 "
              + info.dataSha256());
      out.println("created      " + info.created());
      out.println(
          "versions     "
              + info.versions().entrySet().stream()
                  .map(version -> version.getKey() + " " + version.getValue())
                  .collect(Collectors.joining(", ")));
    }
  }

  /** A method as --detector takes it: its name and settings. */
  private static String method(GuardInfo.Part part) {
    return part.settings().entrySet().stream()
        .map(setting -> ":" + setting.getKey() + "=" + value(setting.getValue()))
        .collect(Collectors.joining("", part.slug(), ""));
  }

  /** Lists are written with plus signs, as --detector and --calibrator take them. */
  private static String value(Object value) {
    return value instanceof Collection<?> list
        ? list.stream().map(String::valueOf).collect(Collectors.joining("+"))
        : String.valueOf(value);
  }
}
