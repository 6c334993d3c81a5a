package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.data.QdcData;
import org.outrigger.select.data.QdcReport;
import org.outrigger.select.data.QdcReport.Measure;
import org.outrigger.select.data.TradeOffs;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares data sets at equal size. */
@Command(
    name = "compare",
    mixinStandardHelpOptions = true,
    description = {
      "Compares data sets by quality, diversity and complexity.",
      "Every set is measured on as many rows, those of the smallest. Sets that no other beats in"
          + " one aim without losing in another are on the Pareto front."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger select data compare --data mnist fashion-mnist --limit 500",
      "  outrigger select data compare --data seed.csv filtered.csv --text answer \\",
      "      --quality score --report sets.html",
    })
final class SelectDataCompareCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      required = true,
      arity = "1..*",
      paramLabel = "PATH",
      description = "Two data sets or more, such as the stages of a pipeline in their order.")
  private List<Path> data = List.of();

  @Option(
      names = "--reference",
      paramLabel = "PATH",
      description = "Data that the sets should cover, read alike.")
  private @Nullable Path reference;

  @Option(
      names = "--aims",
      split = ";",
      paramLabel = "MEASURE;...",
      description =
          "The two or three measures of the Pareto front; by default one of each family that is"
              + " known.")
  private List<String> aims = List.of();

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

  /** The sets that no other beats, and how much of the space of aims all of them cover. */
  private record Front(List<String> aims, List<Boolean> on, double hypervolume) {}

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    if (data.size() < 2) {
      throw new OutriggerException("Name two data sets or more after --data to compare them.");
    }
    Qdc qdc = Methods.create(Qdc.class, "qdc", settings);
    device.apply();
    List<QdcReport> reports;
    try (PointerScope scope = new PointerScope();
        Model opened = known.model(device)) {
      PrintWriter err = spec.commandLine().getErr();
      KnownData.Rows other = reference == null ? null : known.read(reference, opened, err);
      List<QdcData> sets = new ArrayList<>();
      data.forEach(path -> sets.add(known.read(path, opened, err).data(other)));
      reports = qdc.compare(sets);
    }
    Front front = front(reports);
    tell(reports, front);
  }

  private Front front(List<QdcReport> reports) {
    List<String> chosen = aims.isEmpty() ? usual(reports) : aims;
    if (chosen.size() < 2) {
      return new Front(chosen, List.of(), Double.NaN);
    }
    double[][] points =
        reports.stream()
            .map(
                each ->
                    chosen.stream()
                        .mapToDouble(
                            aim -> {
                              double value = each.value(aim);
                              boolean larger = each.find(aim).map(Measure::larger).orElse(true);
                              return larger ? value : -value;
                            })
                        .toArray())
            .toArray(double[][]::new);
    int[] best = TradeOffs.pareto(points);
    return new Front(
        chosen,
        IntStream.range(0, points.length)
            .mapToObj(i -> Arrays.stream(best).anyMatch(b -> b == i))
            .toList(),
        TradeOffs.hypervolume(TradeOffs.scaled(points)));
  }

  /** One measure of each family that all sets have. */
  private static List<String> usual(List<QdcReport> reports) {
    List<String> names = new ArrayList<>();
    for (List<String> family :
        List.of(
            List.of(Qdc.QUALITY, "reference precision"),
            List.of(Qdc.COVERAGE, Qdc.NEAREST, "distinct-2"),
            List.of(Qdc.LENGTH, "EL2N"))) {
      family.stream()
          .filter(name -> reports.stream().allMatch(each -> each.find(name).isPresent()))
          .findFirst()
          .ifPresent(names::add);
    }
    return names;
  }

  private void tell(List<QdcReport> reports, Front front) {
    List<String> header = new ArrayList<>(List.of("family", "measure"));
    reports.forEach(each -> header.add(each.name()));
    List<List<String>> rows = new ArrayList<>();
    for (Measure m : reports.get(0).measures()) {
      if (reports.stream().allMatch(each -> each.find(m.name()).isPresent())) {
        List<String> cells =
            new ArrayList<>(List.of(m.family().name().toLowerCase(Locale.ROOT), m.name()));
        reports.forEach(each -> cells.add(QdcPage.number(each.value(m.name()))));
        rows.add(cells);
      }
    }
    if (report != null) {
      page(reports, header, rows, front).write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("sets", reports.stream().map(QdcReport::toJson).toList());
      all.put("aims", front.aims);
      all.put("onFront", front.on);
      all.put("hypervolume", front.hypervolume);
      out.println(Json.pretty(all));
      return;
    }
    out.println(
        "Each set on " + reports.get(0).n() + " rows, embedded by " + reports.get(0).embedding());
    out.println();
    TextTable table = new TextTable(header.toArray(new String[0]));
    rows.forEach(table::row);
    table.print(out);
    out.println();
    out.println(words(reports, front));
    if (report != null) {
      out.println("Report: " + report);
    }
  }

  private static String words(List<QdcReport> reports, Front front) {
    if (front.on.isEmpty()) {
      return "No Pareto front: fewer than two aims are known of all sets. Name --aims.";
    }
    return "Pareto front of "
        + String.join(", ", front.aims)
        + ": "
        + String.join(
            ", ",
            IntStream.range(0, reports.size())
                .filter(front.on::get)
                .mapToObj(i -> reports.get(i).name())
                .toList())
        + ".";
  }

  private static ReportPage page(
      List<QdcReport> reports, List<String> header, List<List<String>> rows, Front front) {
    ReportPage page =
        new ReportPage(
            "Data sets compared",
            "Each set on "
                + reports.get(0).n()
                + " rows, because diversity depends on the number; embedded by "
                + reports.get(0).embedding()
                + ".");
    page.section("Which set is good for what?", words(reports, front));
    page.charts(
        front.aims.stream()
            .map(
                aim -> {
                  Map<String, Double> bars = new LinkedHashMap<>();
                  reports.forEach(each -> bars.put(each.name(), each.value(aim)));
                  return Chart.bars(
                      Character.toUpperCase(aim.charAt(0)) + aim.substring(1),
                      "On equally many rows.",
                      aim,
                      bars);
                })
            .toArray(Chart[]::new));
    page.section("All measures", "");
    page.table("", header, rows);
    return page;
  }
}
