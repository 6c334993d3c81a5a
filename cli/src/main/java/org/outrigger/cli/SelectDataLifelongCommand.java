package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;
import org.outrigger.select.data.AdaptInfinity;
import org.outrigger.select.data.DataPool;
import org.outrigger.select.data.LifelongSelection;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** One step of a lifelong run. */
@Command(
    name = "lifelong",
    mixinStandardHelpOptions = true,
    description = {
      "Takes one step of a lifelong run: adds a data set, and says what to train on.",
      "The pool remembers which rows it holds and which were dropped, when and why. It goes on from"
          + " its file, so that steps may lie months apart. Train the model on the rows before the"
          + " next step."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger select data lifelong --model m.safetensors --pool p.safetensors \\",
      "      --add march/ --train-budget 500 --pool-budget 5000 --out march.csv",
      "  outrigger select data lifelong --model m2.safetensors --pool p.safetensors \\",
      "      --add april/ --train-budget 500 --pool-budget 5000 --out april.csv",
    })
final class SelectDataLifelongCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "The model as it is now: a .safetensors or .pt file.")
  private Path file;

  @Option(
      names = "--pool",
      required = true,
      paramLabel = "FILE",
      description = "The pool, a .safetensors file; made by the first step.")
  private Path poolFile;

  @Option(
      names = "--add",
      required = true,
      paramLabel = "PATH",
      description = "Labelled data that arrives.")
  private Path add;

  @Option(
      names = "--train-budget",
      required = true,
      paramLabel = "M",
      description = "How many rows of the pool to train on.")
  private int trainBudget;

  @Option(
      names = "--pool-budget",
      required = true,
      paramLabel = "D",
      description = "How many rows the pool may keep.")
  private int poolBudget;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Write the rows to a .csv, .parquet or .jsonl file, and what becomes of each.")
  private Path out;

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description = "A setting of adapt-infinity for a new pool; repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Option(names = "--json", description = "Print the step's report as JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    AtomicFiles.check(poolFile);
    device.apply();
    try (Model opened = model.open(file, device)) {
      LifelongSelection run = Scopes.scoped(() -> open(opened));
      IndexedDataset added = data(add, opened);
      int before = run.pool().size() + Math.toIntExact(added.size());
      LifelongSelection.Step step;
      try (Progress progress = new Progress("Running " + opened.name(), before)) {
        step = run.step(opened, add.toString(), added, trainBudget, poolBudget, progress::to);
      }
      write(run, step);
      Scopes.run(() -> StateFiles.write(poolFile, run.state()));
      tell(run, step);
    }
  }

  private LifelongSelection open(Model opened) {
    if (!Files.exists(poolFile)) {
      return new LifelongSelection(Methods.create(AdaptInfinity.class, "adapt-infinity", settings));
    }
    State saved = StateFiles.read(poolFile);
    Map<String, Object> all = new LinkedHashMap<>(LifelongSelection.settings(saved));
    if (!settings.isEmpty()) {
      throw new OutriggerException(
          poolFile
              + " was made with settings of its own, which stay: leave --setting out, or start a"
              + " new pool.");
    }
    LifelongSelection run =
        new LifelongSelection(Methods.create(AdaptInfinity.class, "adapt-infinity", all));
    run.restore(saved);
    for (DataPool.Source source : run.pool().sources()) {
      run.reconnect(source.name(), data(Path.of(source.name()), opened));
    }
    return run;
  }

  private IndexedDataset data(Path path, Model opened) {
    return Tables.inMemory(
        reading.open(path, ModelArguments.classNames(opened), null, "train"),
        spec.commandLine().getErr());
  }

  /** The rows of the pool, before anything was dropped. */
  private void write(LifelongSelection run, LifelongSelection.Step step) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("source", String.class);
    columns.put("row", Integer.class);
    columns.put("train", Boolean.class);
    columns.put("keep", Boolean.class);
    columns.put("similarity", Double.class);
    columns.put("resembles", String.class);
    var train = IntStream.of(step.train()).boxed().collect(Collectors.toSet());
    Map<DataPool.Row, DataPool.Dropped> dropped =
        run.pool().dropped().stream()
            .filter(each -> each.step() == step.step())
            .collect(Collectors.toMap(DataPool.Dropped::row, each -> each));
    var keep = IntStream.of(step.keep()).boxed().collect(Collectors.toSet());
    int rows = run.pool().sources().stream().mapToInt(DataPool.Source::rows).sum();
    try (TableWriter writer = TableWriter.open(out, columns)) {
      for (int number = 0; number < rows; number++) {
        DataPool.Row row = run.pool().row(number);
        DataPool.Dropped gone = dropped.get(row);
        if (!keep.contains(number) && gone == null) {
          continue;
        }
        DataPool.Row like = gone == null ? null : gone.resembles();
        writer.write(
            row.source(),
            row.row(),
            train.contains(number),
            gone == null,
            gone == null ? null : (Double) gone.similarity(),
            like == null ? null : like.source() + "#" + like.row());
      }
      writer.commit();
    }
  }

  private void tell(LifelongSelection run, LifelongSelection.Step step) {
    PrintWriter console = spec.commandLine().getOut();
    LifelongSelection.Report report = step.report();
    if (json) {
      console.println(Json.pretty(Methods.values(report)));
      return;
    }
    console.println(
        "step "
            + (step.step() + 1)
            + ": "
            + report.trained()
            + " of "
            + report.pool()
            + " rows to train on, "
            + report.dropped()
            + " dropped for good, "
            + run.pool().size()
            + " in the pool");
    console.println();
    TextTable sources = new TextTable("data", "to train on");
    report.bySource().forEach((name, count) -> sources.row(name, Integer.toString(count)));
    sources.print(console);
    console.println();
    TextTable clusters = new TextTable("cluster", "rows", "to train on", "score", "entropy");
    int number = 0;
    for (AdaptInfinity.ClusterReport cluster : report.clusters()) {
      clusters.row(
          List.of(
              cluster.learned() ? "learned" : Integer.toString(number++),
              Integer.toString(cluster.size()),
              Integer.toString(cluster.budget()),
              cluster.score(),
              String.format(
                  Locale.ROOT,
                  "%.2f",
                  cluster.entropies().getOrDefault(cluster.score(), Double.NaN))));
    }
    clusters.print(console);
    console.println();
    console.println("Rows: " + out);
    console.println("Pool: " + poolFile);
  }
}
