package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.data.QdcReport;
import org.outrigger.select.data.TradeOffs;
import org.outrigger.select.data.TradeOffs.FrontierPoint;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures one data set. */
@Command(
    name = "measure",
    mixinStandardHelpOptions = true,
    description = {
      "Measures quality, diversity and complexity of a data set.",
      "Takes images, tables or texts; what can be measured depends on what is known of the rows.",
      "With a model and labels, quality is the model's probability of the label and complexity is"
          + " EL2N, unless columns say otherwise."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger select data measure --data digits --report digits.html",
      "  outrigger select data measure --data answers.jsonl --text answer \\",
      "      --quality score",
      "  outrigger select data measure --data train/ --model resnet.pt \\",
      "      --reference validation/",
    })
final class SelectDataMeasureCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(names = "--data", required = true, paramLabel = "PATH", description = "The data set.")
  private Path data;

  @Option(
      names = "--reference",
      paramLabel = "PATH",
      description = "Data that the set should cover, read alike.")
  private @Nullable Path reference;

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description = "A setting of qdc that differs from its default; repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print all figures as JSON.")
  private boolean json;

  @Mixin private KnownData known;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    Qdc qdc = Methods.create(Qdc.class, "qdc", settings);
    device.apply();
    PrintWriter out = spec.commandLine().getOut();
    try (PointerScope scope = new PointerScope();
        Model opened = known.model(device)) {
      PrintWriter err = spec.commandLine().getErr();
      KnownData.Rows rows = known.read(data, opened, err);
      KnownData.Rows other = reference == null ? null : known.read(reference, opened, err);
      QdcReport measured = qdc.measure(rows.data(other));
      Tensor quality = rows.quality();
      // The frontier needs some rows at its far end.
      List<FrontierPoint> frontier =
          quality == null || rows.ids().size() < 100
              ? List.of()
              : TradeOffs.frontier(
                  quality,
                  rows.embeddings(),
                  other == null ? null : other.embeddings(),
                  qdc.settings().k(),
                  qdc.settings().seed());
      if (report != null) {
        QdcPage.of(measured, frontier).write(report);
      }
      if (json) {
        Map<String, Object> all = new LinkedHashMap<>(measured.toJson());
        all.put("frontier", frontier);
        out.println(Json.pretty(all));
        return;
      }
      out.println(
          measured.name() + ": " + measured.n() + " rows, embedded by " + measured.embedding());
      out.println();
      QdcPage.table(measured).print(out);
    }
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }
}
