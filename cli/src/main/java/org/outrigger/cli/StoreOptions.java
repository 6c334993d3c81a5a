package org.outrigger.cli;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.store.EventStore;
import org.outrigger.serve.store.StoreSettings;
import picocli.CommandLine.Option;

/** Where a server keeps its events, and for how long. */
final class StoreOptions {
  static final String FILE = "events.duckdb";

  @Option(
      names = "--store",
      paramLabel = "FILE|URL|none",
      description =
          "Where verdicts and labels are kept: a file of DuckDB, a URL jdbc:postgresql://... (user"
              + " and password from OUTRIGGER_STORE_USER and OUTRIGGER_STORE_PASSWORD), or none."
              + " events.duckdb in --data-dir by default.")
  private @Nullable String location;

  @Option(
      names = "--flush-interval",
      paramLabel = "TIME",
      defaultValue = "1s",
      description =
          "The longest that a verdict waits to be stored, and so the most that a crash loses;"
              + " ${DEFAULT-VALUE} by default.")
  private String flushInterval = "1s";

  @Option(
      names = "--retention",
      paramLabel = "TIME",
      description = "Delete verdicts and labels that are older, such as 30d; kept by default.")
  private @Nullable String retention;

  @Option(
      names = "--store-inputs",
      description = "Keep the inputs too. They may be personal data, so this is off by default.")
  private boolean inputs;

  /** The store; null for none. */
  @Nullable EventStore part(DataDir folder) {
    if ("none".equals(location)) {
      return null;
    }
    String where = location == null ? folder.folder().resolve(FILE).toString() : location;
    StoreSettings settings = at(where);
    return new EventStore(
        settings
            .withFlush(duration("--flush-interval", flushInterval), settings.batchRows())
            .withRetention(retention == null ? null : duration("--retention", retention))
            .withInputs(inputs));
  }

  /** Settings of a file or URL, with user and password from the environment. */
  static StoreSettings at(String location) {
    return StoreSettings.at(location)
        .withUser(System.getenv("OUTRIGGER_STORE_USER"), System.getenv("OUTRIGGER_STORE_PASSWORD"));
  }

  /** The file that a server writes by default. */
  static Path byDefault(Path folder) {
    return folder.resolve(FILE);
  }

  /** Reads a time such as 500ms, 1s, 15m, 12h or 30d. */
  static Duration duration(String option, String text) {
    if (text.matches("[0-9]{1,9}(ms|s|m|h|d)")) {
      long number = Long.parseLong(text.replaceAll("[a-z]", ""));
      Duration duration =
          switch (text.replaceAll("[0-9]", "")) {
            case "ms" -> Duration.ofMillis(number);
            case "s" -> Duration.ofSeconds(number);
            case "m" -> Duration.ofMinutes(number);
            case "h" -> Duration.ofHours(number);
            default -> Duration.ofDays(number);
          };
      if (!duration.isZero()) {
        return duration;
      }
    }
    throw new OutriggerException(
        option + " = " + text + " is no time: write a number and ms, s, m, h or d, such as 30d.");
  }
}
