package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.stream.Correction;
import org.outrigger.stream.DriftTest;
import org.outrigger.stream.DriftTestResult;
import org.outrigger.stream.KsTest;
import org.outrigger.stream.Wasserstein;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares two samples. */
@Command(
    name = "compare",
    mixinStandardHelpOptions = true,
    description = {
      "Tells whether two samples come from one distribution, and which features changed.",
      "Each feature is tested by itself, and all together; images are compared by their pixels."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger drift compare --reference january.csv --data june.csv \\",
      "      --report june.html",
      "  outrigger drift compare --reference mnist --data fashion-mnist --rows 500 \\",
      "      --tests ks-test,mmd-test:permutations=200",
      "  outrigger drift compare --reference a.parquet --data b.parquet \\",
      "      --features age,income --json"
    })
final class DriftCompareCommand implements Runnable {
  private static final String TESTS =
      "ks-test,cramer-von-mises,psi,jensen-shannon,wasserstein,mmd-test,c2st";
  private static final int DRAWN = 6;

  @Spec private CommandSpec spec;

  @Option(
      names = "--reference",
      required = true,
      paramLabel = "PATH",
      description = "What the data should look like.")
  private Path referencePath;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "The data that may have changed.")
  private Path dataPath;

  @Option(
      names = "--tests",
      paramLabel = "NAME,...",
      defaultValue = TESTS,
      description = "Tests with settings; ${DEFAULT-VALUE} by default.")
  private String list;

  @Option(
      names = "--rows",
      paramLabel = "N",
      defaultValue = "2000",
      description = "Compare at most N rows of each, at random; ${DEFAULT-VALUE} by default.")
  private int rows;

  @Option(
      names = "--top",
      paramLabel = "N",
      defaultValue = "20",
      description = "Show the N features that changed most; ${DEFAULT-VALUE} by default.")
  private int top;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the choice of rows; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private DataArguments reading;

  /** What one feature came to. */
  private record Row(String feature, double ks, double pValue, double moved, boolean changed) {}

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    if (rows < 2 || top < 1) {
      throw new OutriggerException("--rows must be 2 or more, and --top 1 or more.");
    }
    List<DriftTest> tests = Methods.parse(DriftTest.class, list);
    try {
      Scopes.run(() -> compare(tests));
    } finally {
      tests.forEach(DriftTest::close);
    }
  }

  private void compare(List<DriftTest> tests) {
    Dataset first = reading.open(referencePath, List.of(), null);
    Dataset second = reading.open(dataPath, List.of(), null, "test", first.featureColumns());
    Tensor reference = flat(first);
    Tensor batch = flat(second);
    if (reference.size(1) != batch.size(1)) {
      throw new OutriggerException(
          "The reference has "
              + reference.size(1)
              + " features, but the data has "
              + batch.size(1)
              + ": name common columns with --features, or set --size for images.");
    }
    List<String> names = names(first, (int) reference.size(1));
    List<Row> all = features(reference, batch, names);
    List<DriftTestResult> results = new ArrayList<>();
    try (Progress progress = new Progress("Testing", tests.size())) {
      for (DriftTest test : tests) {
        progress.say(test.card().slug());
        test.fit(reference);
        results.add(test.test(batch));
        progress.to(results.size());
      }
    }
    if (report != null) {
      page(first, second, reference, batch, names, all, results).write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(Json.pretty(toJson(first, second, reference, batch, all, results)));
      return;
    }
    out.println("reference  " + first.name() + ", " + reference.size(0) + " rows");
    out.println("data       " + second.name() + ", " + batch.size(0) + " rows");
    out.println();
    TextTable table = new TextTable("test", "drift", "statistic", "p-value", "threshold");
    results.forEach(result -> table.row(cells(result)));
    table.print(out);
    out.println();
    out.println(
        all.stream().filter(Row::changed).count()
            + " of "
            + all.size()
            + " features changed (Kolmogorov-Smirnov, 5 % after Benjamini-Hochberg).");
    TextTable shown = new TextTable("feature", "changed", "KS distance", "p-value", "moved by");
    all.stream().limit(top).forEach(row -> shown.row(cells(row)));
    shown.print(out);
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }

  private Tensor flat(Dataset data) {
    TensorDataset all =
        TensorDataset.copyOf(
            Tables.inMemory(data, spec.commandLine().getErr()).shuffled(seed).limit(rows));
    return all.inputs().to(ScalarType.Double).flatten(1, -1);
  }

  private static List<String> names(Dataset data, int count) {
    List<String> columns = data.featureColumns();
    return columns.size() == count
        ? columns
        : IntStream.range(0, count).mapToObj(i -> "feature " + i).toList();
  }

  /** Every feature, those that changed most first. */
  private static List<Row> features(Tensor reference, Tensor batch, List<String> names) {
    double[] moved = Tensors.doubles(Wasserstein.standardised(reference, batch));
    try (KsTest ks = new KsTest(new KsTest.Settings(0.05, Correction.BENJAMINI_HOCHBERG))) {
      ks.fit(reference);
      DriftTestResult.Feature[] features = ks.test(batch).features();
      List<Row> all = new ArrayList<>();
      for (int f = 0; f < features.length; f++) {
        all.add(
            new Row(
                names.get(f),
                features[f].statistic(),
                features[f].pValue(),
                moved[f],
                features[f].drift()));
      }
      all.sort(Comparator.comparingDouble((Row row) -> row.pValue).thenComparing(row -> -row.ks));
      return all;
    }
  }

  private static List<String> cells(DriftTestResult result) {
    return List.of(
        result.test(),
        result.drift() ? "yes" : "no",
        number(result.statistic()),
        Double.isNaN(result.pValue()) ? "-" : number(result.pValue()),
        number(result.threshold()));
  }

  private static List<String> cells(Row row) {
    return List.of(
        row.feature,
        row.changed ? "yes" : "no",
        ReportPage.number(row.ks),
        number(row.pValue),
        row.moved > 1e6 ? "all of it" : String.format(Locale.ROOT, "%.2f sd", row.moved));
  }

  private static String number(double value) {
    return value != 0 && Math.abs(value) < 0.001
        ? String.format(Locale.ROOT, "%.1e", value)
        : String.format(Locale.ROOT, "%.4f", value);
  }

  private static Map<String, Object> toJson(
      Dataset first,
      Dataset second,
      Tensor reference,
      Tensor batch,
      List<Row> all,
      List<DriftTestResult> results) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("reference", first.name());
    json.put("referenceRows", reference.size(0));
    json.put("data", second.name());
    json.put("dataRows", batch.size(0));
    json.put("tests", results.stream().map(DriftTestResult::toJson).toList());
    json.put("features", all);
    return json;
  }

  private static ReportPage page(
      Dataset first,
      Dataset second,
      Tensor reference,
      Tensor batch,
      List<String> names,
      List<Row> all,
      List<DriftTestResult> results) {
    long changed = all.stream().filter(Row::changed).count();
    ReportPage page =
        new ReportPage("Has the data changed?", second.name() + " against " + first.name());
    page.figures(
        List.of(
            new ReportPage.Figure(
                "tests that say drift",
                results.stream().filter(DriftTestResult::drift).count() + " of " + results.size(),
                "each at its own level"),
            new ReportPage.Figure(
                "features that changed", changed + " of " + all.size(), "after Benjamini-Hochberg"),
            new ReportPage.Figure(
                "rows", reference.size(0) + " + " + batch.size(0), "reference and data")));
    page.section("Tests", "A p-value below its threshold, or a distance above, is drift.");
    page.table(
        "",
        List.of("test", "drift", "statistic", "p-value", "threshold"),
        results.stream().map(DriftCompareCommand::cells).toList());
    page.section("Features that changed most", "Distributions of the reference and of the data.");
    List<Chart> charts = new ArrayList<>();
    for (Row row : all.subList(0, Math.min(DRAWN, all.size()))) {
      int f = names.indexOf(row.feature);
      Map<String, double[]> groups = new LinkedHashMap<>();
      groups.put("reference", Tensors.doubles(reference.select(1, f)));
      groups.put("data", Tensors.doubles(batch.select(1, f)));
      charts.add(
          Chart.histogram(
              row.feature,
              "KS distance " + ReportPage.number(row.ks) + ", p-value " + number(row.pValue) + ".",
              row.feature,
              groups,
              Double.NaN));
    }
    page.charts(charts.toArray(new Chart[0]));
    page.table(
        "All features, by p-value; moved by: mean way of a value, in standard deviations.",
        List.of("feature", "changed", "KS distance", "p-value", "moved by"),
        all.stream().limit(500).map(DriftCompareCommand::cells).toList());
    return page;
  }
}
