package org.outrigger.cli;

import java.util.List;
import java.util.stream.Collectors;
import org.outrigger.core.io.Json;
import org.outrigger.datasets.DatasetCatalogue;
import org.outrigger.datasets.DatasetEntry;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Lists data sets. */
@Command(
    name = "datasets",
    mixinStandardHelpOptions = true,
    description = {
      "Lists the data sets that are embedded or that can be opened from files.",
      "An embedded one can be given by name wherever data is read: fashion-mnist," + " mnist:train."
    },
    subcommands = DatasetsExportCommand.class,
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger datasets",
      "  outrigger datasets export fashion-mnist --part test --out clothes/",
      "  outrigger datasets --json"
    })
final class DatasetsCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public void run() {
    var out = spec.commandLine().getOut();
    List<DatasetEntry> entries = DatasetCatalogue.list();
    if (json) {
      out.println(Json.pretty(entries));
      return;
    }
    TextTable table = new TextTable("name", "classes", "shape", "rows", "parts", "licence");
    for (DatasetEntry entry : entries) {
      table.row(
          entry.name(),
          entry.classes() > 0
              ? Integer.toString(entry.classes())
              : entry.embedded() ? "number" : "any",
          entry.shape().stream()
              .map(size -> size == 0 ? "any" : Integer.toString(size))
              .collect(Collectors.joining("x")),
          entry.size(),
          String.join(", ", entry.parts()),
          entry.licence());
    }
    table.print(out);
    out.println();
    out.println(
        "Embedded: "
            + entries.stream()
                .filter(DatasetEntry::embedded)
                .map(DatasetEntry::name)
                .collect(Collectors.joining(", "))
            + ". The others are opened from a folder that holds:");
    entries.stream()
        .filter(entry -> !entry.embedded())
        .forEach(entry -> out.println("  " + entry.name() + ": " + entry.where()));
  }
}
