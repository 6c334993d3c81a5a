package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Tensors;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.data.QdcData;
import org.outrigger.select.data.QdcReport;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Chooses rows of a data set. */
@Command(
    name = "choose",
    mixinStandardHelpOptions = true,
    description = {
      "Chooses rows of a data set to train on.",
      "Quality and complexity come from columns, from the model and the labels, or from the length"
          + " of a text; what is not known counts the same for all rows."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger select data choose --data digits --budget 200 --out chosen.csv",
      "  outrigger select data choose --data answers.jsonl --text answer \\",
      "      --quality score --budget 1000 --method greedy-balance --out chosen.csv",
    })
final class SelectDataChooseCommand implements Runnable {
  /** How rows are chosen. */
  enum Way {
    SCORE_THEN_FILTER,
    GREEDY_BALANCE;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  @Spec private CommandSpec spec;

  @Option(names = "--data", required = true, paramLabel = "PATH", description = "The data set.")
  private Path data;

  @Option(
      names = "--budget",
      required = true,
      paramLabel = "M",
      description = "How many rows to choose at most.")
  private int budget;

  @Option(
      names = "--method",
      paramLabel = "METHOD",
      defaultValue = "score-then-filter",
      converter = WayOf.class,
      description = "score-then-filter or greedy-balance; ${DEFAULT-VALUE} by default.")
  private Way way = Way.SCORE_THEN_FILTER;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Write the chosen rows, in order, to this .csv, .parquet or .jsonl file.")
  private Path out;

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description = "A setting of qdc that differs from its default; repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Mixin private KnownData known;
  @Mixin private Device device;

  /** Reads a way as it is written on the command line. */
  static final class WayOf implements ITypeConverter<Way> {
    @Override
    public Way convert(String value) {
      for (Way way : Way.values()) {
        if (way.toString().equalsIgnoreCase(value)) {
          return way;
        }
      }
      throw new TypeConversionException(
          "'" + value + "' is no way to choose: use score-then-filter or greedy-balance");
    }
  }

  @Override
  public void run() {
    AtomicFiles.check(out);
    Qdc qdc = Methods.create(Qdc.class, "qdc", settings);
    device.apply();
    PrintWriter console = spec.commandLine().getOut();
    try (PointerScope scope = new PointerScope();
        Model opened = known.model(device)) {
      KnownData.Rows rows = known.read(data, opened, spec.commandLine().getErr());
      int n = rows.ids().size();
      Tensor ones = torch.ones_like(rows.embeddings().select(1, 0));
      Tensor quality = rows.quality() == null ? ones : rows.quality();
      Tensor complexity = rows.complexity() == null ? ones : rows.complexity();
      int[] chosen =
          way == Way.GREEDY_BALANCE
              ? qdc.greedyBalance(quality, complexity, rows.embeddings(), budget)
              : qdc.scoreThenFilter(quality, complexity, rows.embeddings(), budget);
      write(rows.ids(), chosen, Tensors.doubles(quality), Tensors.doubles(complexity));
      console.println(
          chosen.length
              + " of "
              + n
              + " rows of "
              + rows.name()
              + " chosen by "
              + way
              + ": "
              + out);
      if (chosen.length < Math.min(budget, n)) {
        console.println(
            "The other rows lie within tau = "
                + qdc.settings().tau()
                + " of a chosen one: --setting tau=0.05 takes more.");
      }
      if (chosen.length > 1) {
        console.println();
        compare(qdc, rows, chosen).print(console);
      }
    }
  }

  private void write(List<String> ids, int[] chosen, double[] quality, double[] complexity) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("row", Integer.class);
    columns.put("quality", Double.class);
    columns.put("complexity", Double.class);
    try (TableWriter writer = TableWriter.open(out, columns)) {
      for (int row : chosen) {
        writer.write(ids.get(row), row, quality[row], complexity[row]);
      }
      writer.commit();
    }
  }

  /** What was chosen beside as many rows at random. */
  private static TextTable compare(Qdc qdc, KnownData.Rows rows, int[] chosen) {
    QdcData all = rows.data(null);
    QdcData taken = all.subset(chosen);
    List<QdcReport> reports = qdc.compare(List.of(taken, all));
    TextTable table = new TextTable("family", "measure", "chosen", "as many at random");
    for (QdcReport.Measure m : reports.get(0).measures()) {
      reports
          .get(1)
          .find(m.name())
          .ifPresent(
              random ->
                  table.row(
                      m.family().name().toLowerCase(Locale.ROOT),
                      m.name(),
                      QdcPage.number(m.value()),
                      QdcPage.number(random.value())));
    }
    return table;
  }
}
