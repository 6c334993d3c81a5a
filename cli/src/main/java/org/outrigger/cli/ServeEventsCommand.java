package org.outrigger.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.Json;
import org.outrigger.serve.ServerEvent;
import org.outrigger.serve.store.EventQuery;
import org.outrigger.serve.store.StoredEvents;
import org.outrigger.serve.store.StoredRow;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Reads an event store. */
@Command(
    name = "events",
    mixinStandardHelpOptions = true,
    description = {
      "Shows or exports what a server stored: verdicts with the labels that came later, or, with"
          + " --history, what happened to its guards.",
      "A file of DuckDB can be read while no server has it open; ask a running server with GET"
          + " /v2/models/NAME/events."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger serve events",
      "  outrigger serve events --store outrigger-data/events.duckdb --since 7d \\",
      "      --guard flowers --out flowers.parquet",
      "  outrigger serve events --store jdbc:postgresql://db/outrigger --history"
    })
final class ServeEventsCommand implements Runnable {
  private static final int SHOWN = 20;

  @Spec private CommandSpec spec;
  @Mixin private DataDir dataDir;

  @Option(
      names = "--store",
      paramLabel = "FILE|URL",
      description = "The store; events.duckdb in --data-dir by default.")
  private @Nullable String store;

  @Option(names = "--guard", paramLabel = "NAME", description = "Only of this guard.")
  private @Nullable String guard;

  @Option(
      names = "--since",
      paramLabel = "TIME",
      description = "Only what is newer: an age such as 7d, a day, or an instant in UTC.")
  private @Nullable String since;

  @Option(names = "--history", description = "What happened to the guards, instead of verdicts.")
  private boolean history;

  @Option(
      names = "--limit",
      paramLabel = "N",
      description = "The most events, the newest first; 20 on the console, all in a file.")
  private @Nullable Integer limit;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      description = "Write them to a .csv, .jsonl or .parquet file.")
  private @Nullable Path out;

  @Override
  public void run() {
    if (limit != null && limit < 1) {
      throw new OutriggerException("limit = " + limit + " is out of range: use 1 or more.");
    }
    String location = store == null ? StoreOptions.byDefault(dataDir.named()).toString() : store;
    if (!location.startsWith("jdbc:") && !Files.isRegularFile(Path.of(location))) {
      throw new OutriggerException(
          "There is no event store "
              + location
              + ": name what 'outrigger serve' says that it uses.");
    }
    int most = limit != null ? limit : out == null ? SHOWN : Integer.MAX_VALUE;
    EventQuery asked = new EventQuery(guard, null, from(), null, most, null);
    try (StoredEvents events = StoredEvents.open(StoreOptions.at(location))) {
      if (history) {
        history(events.history(asked));
      } else if (out != null) {
        write(events, asked, out);
      } else {
        show(events, asked);
      }
    }
  }

  private @Nullable Instant from() {
    if (since == null) {
      return null;
    }
    try {
      if (since.matches("[0-9]+[a-z]+")) {
        return Instant.now().minus(StoreOptions.duration("--since", since));
      }
      return since.length() == 10
          ? LocalDate.parse(since).atStartOfDay().toInstant(ZoneOffset.UTC)
          : Instant.parse(since);
    } catch (DateTimeException e) {
      throw new OutriggerException(
          "--since = " + since + " is no time: write 7d, 2026-01-31 or 2026-01-31T12:00:00Z.", e);
    }
  }

  private void show(StoredEvents events, EventQuery asked) {
    TextTable table =
        new TextTable("at", "guard", "id", "row", "predicted", "probability", "unknown", "label");
    events.rows(
        asked,
        row ->
            table.row(
                row.at().toString(),
                row.guard() + " " + row.version() + (row.shadow() ? " (shadow)" : ""),
                row.id(),
                Integer.toString(row.row()),
                row.className(),
                String.format(Locale.ROOT, "%.3f", row.probability()),
                row.unknown() ? "unknown" : "",
                row.label() == null ? "" : Integer.toString(row.label())));
    table.print(spec.commandLine().getOut());
  }

  private void write(StoredEvents events, EventQuery asked, Path file) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("seq", Long.class);
    columns.put("at", String.class);
    columns.put("guard", String.class);
    columns.put("version", String.class);
    columns.put("shadow", Boolean.class);
    columns.put("id", String.class);
    columns.put("row", Integer.class);
    columns.put("stream", String.class);
    columns.put("predicted", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    columns.put("score", Double.class);
    columns.put("unknown", Boolean.class);
    columns.put("detector", String.class);
    columns.put("latency_ns", Long.class);
    columns.put("label", Integer.class);
    long[] count = new long[1];
    try (TableWriter writer = TableWriter.open(file, columns)) {
      events.rows(
          asked,
          row -> {
            writer.write(values(row));
            count[0]++;
          });
      writer.commit();
    }
    spec.commandLine().getOut().println("Wrote " + count[0] + " rows to " + file);
  }

  private static @Nullable Object[] values(StoredRow row) {
    return new @Nullable Object[] {
      row.seq(),
      row.at().toString(),
      row.guard(),
      row.version(),
      row.shadow(),
      row.id(),
      row.row(),
      row.stream(),
      row.predicted(),
      row.className(),
      row.probability(),
      row.score(),
      row.unknown(),
      row.detector(),
      row.nanos(),
      row.label()
    };
  }

  private void history(List<ServerEvent> events) {
    List<@Nullable Object[]> rows = new ArrayList<>();
    for (ServerEvent event : events) {
      rows.add(
          new Object[] {
            event.at().toString(),
            event.kind().name(),
            event.guard(),
            event.version(),
            event.message(),
            Json.compact(event.details())
          });
    }
    if (out == null) {
      TextTable table = new TextTable("at", "kind", "message");
      for (ServerEvent event : events) {
        table.row(event.at().toString(), event.kind().name(), event.message());
      }
      table.print(spec.commandLine().getOut());
      return;
    }
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    for (String name : List.of("at", "kind", "guard", "version", "message", "details")) {
      columns.put(name, String.class);
    }
    try (TableWriter writer = TableWriter.open(out, columns)) {
      rows.forEach(writer::write);
      writer.commit();
    }
    spec.commandLine().getOut().println("Wrote " + rows.size() + " events to " + out);
  }
}
