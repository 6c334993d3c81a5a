package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.TimeSeries;
import org.outrigger.datasets.SyntheticSeries;
import org.outrigger.select.scaling.EvaluationSet;
import org.outrigger.select.scaling.ModelSize;
import org.outrigger.select.scaling.RunTable;
import org.outrigger.select.scaling.ScalingAdvice;
import org.outrigger.select.scaling.ScalingRun;
import org.outrigger.select.scaling.ScalingSweep;
import org.outrigger.select.scaling.SeriesPool;
import org.outrigger.select.scaling.SeriesSource;
import org.outrigger.select.scaling.SweepSettings;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Trains a ladder. */
@Command(
    name = "run",
    mixinStandardHelpOptions = true,
    description = {
      "Trains a ladder of time-series transformers and records their losses.",
      "A part of the series is held out and measures the loss in distribution; --ood names series"
          + " of another kind. Figures go to runs.csv in the folder of --out, networks beside it.",
      "It can be stopped at any time: the same command continues where it was, to the last bit."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger scaling run --synthetic --ladder 8x1,16x2,32x2,64x3 --out runs/",
      "  outrigger scaling run --series load.parquet --time-column hour \\",
      "      --id-column meter --ood other=other.csv --ladder 1K,10K,100K \\",
      "      --data-sizes 1e5,1e6,all --architecture both --out runs/",
      "  outrigger scaling run --series load.csv --ladder 1M,3M,10M --preset paper \\",
      "      --set steps=20000 --set warmUp=2000 --out runs/",
      "",
      "Then: outrigger scaling fit --runs runs/runs.csv"
    })
final class ScalingRunCommand implements Runnable {
  /** Whose networks are trained. */
  enum Architecture {
    ENCODER,
    DECODER,
    BOTH
  }

  /** Settings to start from. */
  enum Preset {
    SMALL,
    PAPER
  }

  @Spec private CommandSpec spec;

  @Option(
      names = "--series",
      split = ",",
      paramLabel = "FILE",
      description = "Tables (.csv, .tsv, .parquet, .jsonl) with series to train on.")
  private List<Path> series = List.of();

  @Option(
      names = "--synthetic",
      description = "Try it without data, on generated series: sines, trend and noise.")
  private boolean synthetic;

  @Option(
      names = "--ood",
      paramLabel = "NAME=FILE",
      description = "Series of another kind to measure on; may be repeated.")
  private Map<String, Path> ood = new LinkedHashMap<>();

  @Option(
      names = "--time-column",
      paramLabel = "COLUMN",
      description = "Column that orders the rows; in the file's order by default.")
  private @Nullable String time;

  @Option(
      names = "--id-column",
      paramLabel = "COLUMN",
      description = "Column that tells the series of a long table apart.")
  private @Nullable String id;

  @Option(
      names = "--values",
      split = ",",
      paramLabel = "COLUMN",
      description = "Columns with values, a series each; all numeric ones by default.")
  private List<String> values = List.of();

  @Option(
      names = "--ladder",
      defaultValue = "8x1,16x2,32x2,64x3",
      paramLabel = "SIZE,...",
      description = "1K, 10K ... 1B of the paper, or WIDTHxLAYERS; ${DEFAULT-VALUE} by default.")
  private String ladder;

  @Option(
      names = "--data-sizes",
      defaultValue = "all",
      split = ",",
      paramLabel = "POINTS",
      description = "Time points to train on, such as 1e5,1e6,all; ${DEFAULT-VALUE} by default.")
  private List<String> dataSizes = List.of();

  @Option(
      names = "--architecture",
      defaultValue = "encoder",
      paramLabel = "KIND",
      description = "encoder, decoder or both; ${DEFAULT-VALUE} by default.")
  private Architecture architecture;

  @Option(
      names = "--preset",
      defaultValue = "small",
      paramLabel = "PRESET",
      description =
          "small: patches of 8, 300 steps, minutes on one core; paper: patches of 32, 100,000 steps;"
              + " ${DEFAULT-VALUE} by default.")
  private Preset preset;

  @Option(
      names = "--set",
      paramLabel = "NAME=VALUE",
      description = "Change a setting of the preset, such as steps=1000; may be repeated.")
  private Map<String, String> changes = new LinkedHashMap<>();

  @Option(
      names = "--seeds",
      split = ",",
      defaultValue = "0",
      paramLabel = "N",
      description = "One run a seed; ${DEFAULT-VALUE} by default.")
  private List<Long> seeds = List.of();

  @Option(
      names = "--checkpoint-steps",
      defaultValue = "100",
      paramLabel = "N",
      description = "Steps between checkpoints; ${DEFAULT-VALUE} by default.")
  private int checkpointSteps;

  @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder of the runs.")
  private Path out;

  @Mixin private Device device;

  @Override
  public void run() {
    if (synthetic == !series.isEmpty()) {
      throw new OutriggerException(
          "Name series to train on with --series FILE, or try it with --synthetic, not both.");
    }
    device.apply();
    SweepSettings settings =
        (preset == Preset.PAPER ? SweepSettings.defaults() : SweepSettings.small()).with(changes);
    List<ModelSize> sizes = ModelSize.parse(ladder);
    List<TimeSeries> all = synthetic ? SyntheticSeries.KNOWN.series(1000, 800, 0) : read(series);
    SeriesPool.Split split = SeriesPool.split(all, 0);
    List<EvaluationSet> sets = new ArrayList<>();
    sets.add(EvaluationSet.of("id", split.heldOut(), settings));
    if (synthetic) {
      sets.add(EvaluationSet.of("ood", SyntheticSeries.SHIFTED.series(100, 800, 0), settings));
    }
    ood.forEach(
        (name, file) -> {
          if (sets.stream().anyMatch(set -> set.name().equals(name))) {
            throw new OutriggerException(
                "The name '" + name + "' of --ood is taken: choose another.");
          }
          sets.add(EvaluationSet.of(name, read(List.of(file)), settings));
        });
    List<ScalingRun.Plan> plans =
        ScalingSweep.grid(
            sizes,
            sources(split.training(), settings),
            architecture != Architecture.DECODER,
            architecture != Architecture.ENCODER,
            seeds);
    train(new ScalingSweep(plans, settings, sets, out, checkpointSteps));
  }

  private List<TimeSeries> read(List<Path> files) {
    List<TimeSeries> all = new ArrayList<>();
    for (Path file : files) {
      all.addAll(
          TimeSeries.read(file, new TimeSeries.Columns(time, id, values), DataOptions.defaults()));
    }
    return all;
  }

  private List<SeriesSource> sources(List<TimeSeries> training, SweepSettings settings) {
    List<SeriesSource> sources = new ArrayList<>();
    for (String text : dataSizes) {
      List<TimeSeries> some = training;
      if (!text.strip().toLowerCase(Locale.ROOT).equals("all")) {
        some = SeriesPool.first(training, points(text.strip()));
      }
      sources.add(new SeriesPool(some, settings.minPatches() * settings.patch()));
    }
    if (sources.stream().mapToDouble(SeriesSource::points).distinct().count() < sources.size()) {
      throw new OutriggerException(
          "--data-sizes " + String.join(",", dataSizes) + " names an amount twice.");
    }
    return sources;
  }

  private static long points(String text) {
    try {
      double value = Double.parseDouble(text);
      if (value >= 1 && value <= 1e15) {
        return Math.round(value);
      }
    } catch (NumberFormatException e) {
      throw new OutriggerException(
          "--data-sizes '" + text + "' is no number of points: write 100000, 1e5 or all.", e);
    }
    throw new OutriggerException(
        "--data-sizes " + text + " is out of range: use 1 or more points.");
  }

  private void train(ScalingSweep sweep) {
    PrintWriter text = spec.commandLine().getOut();
    int steps = sweep.settings().steps();
    RunTable runs;
    try (Progress progress = new Progress("Training", (long) steps * sweep.plans().size())) {
      runs =
          sweep.run(
              (run, plan, done) -> {
                progress.say(plan.name());
                progress.to((long) run * steps + done);
                if (done == steps) {
                  text.println("done  " + plan.name());
                  text.flush();
                }
              });
    }
    List<String> names = sweep.sets().stream().map(EvaluationSet::name).toList();
    List<String> header = new ArrayList<>(List.of("run", "N", "D"));
    names.forEach(name -> header.add("NLL " + name));
    TextTable table = new TextTable(header.toArray(String[]::new));
    for (ScalingRun.Plan plan : sweep.plans()) {
      List<RunTable.Row> of =
          runs.rows().stream()
              .filter(row -> row.architecture().equals(plan.architecture()))
              .filter(row -> row.model().equals(plan.size().name()))
              .filter(row -> row.data() == plan.source().points())
              .filter(row -> row.seed().equals(Long.toString(plan.seed())))
              .filter(row -> row.metric().equals("nll"))
              .toList();
      List<String> cells = new ArrayList<>();
      cells.add(plan.name());
      cells.add(ScalingAdvice.number(of.get(0).parameters()));
      cells.add(ScalingAdvice.number(plan.source().points()));
      for (String name : names) {
        double[] losses =
            of.stream()
                .filter(row -> row.dataset().equals(name))
                .mapToDouble(RunTable.Row::value)
                .toArray();
        cells.add(
            String.format(Locale.ROOT, "%.3f", Arrays.stream(losses).min().orElse(Double.NaN)));
      }
      table.row(cells);
    }
    text.println();
    table.print(text);
    text.println();
    text.println("Runs: " + out.resolve("runs.csv"));
  }
}
