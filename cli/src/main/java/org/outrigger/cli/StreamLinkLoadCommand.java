package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.NetworkTraffic;
import org.outrigger.stream.liquid.Gaps;
import org.outrigger.stream.liquid.IncrementalForecaster;
import org.outrigger.stream.liquid.LinkComparison;
import org.outrigger.stream.liquid.LinkForecaster;
import org.outrigger.stream.liquid.LiquidForecaster;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Forecasts link loads through a failure. */
@Command(
    name = "link-load",
    mixinStandardHelpOptions = true,
    description = {
      "Forecasts the load of network links through a failure.",
      "Compares liquid networks, which carry a state and are not trained again, with a network that"
          + " is trained again once a period, with both together, and with the last load.",
      "Without --data, a small network is simulated whose busiest link fails, so that its traffic"
          + " is routed anew."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger stream link-load --report links.html",
      "  outrigger stream link-load --cells cfc,ltc --horizon 3 --nodes 12",
      "  outrigger stream link-load --data loads.csv --time-column minute \\",
      "      --period 288 --change-at 4032",
      "",
      "A table has one column a link and one row a step. Rows that cannot be read are left out, and"
          + " the step after them takes longer."
    })
final class StreamLinkLoadCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "A table of loads with one column a link, sorted by time.")
  private @Nullable Path data;

  @Option(
      names = "--change-at",
      paramLabel = "ROW",
      description = "With --data: the first row, from 0, after the failure or change.")
  private @Nullable Integer change;

  @Option(
      names = "--period",
      paramLabel = "STEPS",
      defaultValue = "48",
      description = "With --data: steps of a day; ${DEFAULT-VALUE} by default.")
  private int period;

  @Option(
      names = "--horizon",
      paramLabel = "STEPS",
      defaultValue = "6",
      description = "Forecast so many steps ahead; ${DEFAULT-VALUE} by default.")
  private int horizon;

  @Option(
      names = "--train",
      paramLabel = "SHARE",
      defaultValue = "0.7",
      description =
          "Train on this share of the steps before the change; ${DEFAULT-VALUE} by default.")
  private double train;

  @Option(
      names = "--cells",
      split = ",",
      paramLabel = "CELL",
      defaultValue = "cfc",
      description = "cfc (closed form), ltc (with a solver) or both; ${DEFAULT-VALUE} by default.")
  private List<LiquidForecaster.Cell> cells = List.of();

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "80",
      description = "Passes that train a liquid network; ${DEFAULT-VALUE} by default.")
  private int epochs;

  @Option(
      names = "--nodes",
      paramLabel = "N",
      defaultValue = "8",
      description = "Nodes of the simulated network; ${DEFAULT-VALUE} by default.")
  private int nodes;

  @Option(
      names = "--chords",
      paramLabel = "N",
      defaultValue = "3",
      description = "Its links beside those of a ring; ${DEFAULT-VALUE} by default.")
  private int chords;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of simulation and weights; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print all figures as JSON.")
  private boolean json;

  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    HyperParameter.inside("--train", train, 0, 1);
    HyperParameter.atLeast("--period", period, 4);
    HyperParameter.atLeast("--horizon", horizon, 1);
    device.apply();
    LinkLog log;
    if (data == null) {
      if (change != null) {
        throw new OutriggerException(
            "--change-at says where a table changes: name it with --data.");
      }
      log = LinkLog.simulated(nodes, chords, seed);
      period = log.period();
    } else if (change == null) {
      throw new OutriggerException(
          "--data needs --change-at ROW: the first row after the failure, by which the forecasts"
              + " are judged.");
    } else {
      log =
          LinkLog.open(
              Tables.inMemory(reading.open(data, List.of(), null), spec.commandLine().getErr()),
              change,
              period);
    }
    LinkComparison compared = Scopes.scoped(() -> compare(log));
    tell(log, compared);
  }

  private LinkComparison compare(LinkLog log) {
    // Whole periods, so that a training follows the failure by one period where it can.
    int known = Math.max(1, (int) (log.failure() * train / period)) * period;
    if (known >= log.failure()) {
      throw new OutriggerException(
          "Row "
              + log.failure()
              + " comes too early: at least two periods of "
              + period
              + " steps are needed before the change.");
    }
    // As shares of what a link carries at most in quiet times; links differ in size.
    Tensor raw = log.tensor();
    Tensor most = raw.narrow(1, 0, known).abs().max(1, false).get0().clamp_min(new Scalar(1e-12));
    Tensor loads = raw.div(most.unsqueeze(1));
    Tensor elapsed = log.elapsedTensor();
    Map<String, LinkForecaster> liquid = new LinkedHashMap<>();
    IncrementalForecaster incremental =
        new IncrementalForecaster(IncrementalForecaster.Settings.of(period, horizon, seed));
    try (Progress progress = new Progress("Training", cells.size() + 1L)) {
      LiquidForecaster.Settings settings =
          LiquidForecaster.Settings.defaults()
              .withPeriod(period)
              .withHorizon(horizon)
              .withEpochs(epochs)
              .withSeed(seed);
      for (LiquidForecaster.Cell cell : cells) {
        String name = cell.name().toLowerCase(Locale.ROOT);
        liquid.put(
            name,
            new LiquidForecaster(
                cell == LiquidForecaster.Cell.LTC
                    ? settings.withCell(cell, 16, epochs)
                    : settings));
      }
      Tensor quiet = loads.narrow(1, 0, known);
      Tensor quietSteps = elapsed.narrow(0, 0, known);
      long done = 0;
      for (Map.Entry<String, LinkForecaster> each : liquid.entrySet()) {
        progress.say(each.getKey());
        each.getValue().fit(quiet, quietSteps);
        progress.to(++done);
      }
      incremental.fit(quiet, quietSteps);
      progress.to(++done);
      int rest = log.steps() - known;
      return LinkComparison.of(
          liquid,
          incremental,
          loads.narrow(1, known, rest),
          elapsed.narrow(0, known, rest),
          log.failure() - known);
    } finally {
      liquid.values().forEach(LinkForecaster::close);
      incremental.close();
    }
  }

  private void tell(LinkLog log, LinkComparison compared) {
    if (report != null) {
      new LinkLoadReport(log, compared, period).page().write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("data", log.name());
      all.put("links", log.links());
      all.put("horizon", horizon);
      all.put("failure", compared.failure());
      all.put("trainedAgain", compared.refitted());
      all.put("forecasters", compared.rows().stream().map(LinkComparison.Row::toJson).toList());
      out.println(Json.pretty(all));
      return;
    }
    out.println(log.story());
    out.println();
    out.println(
        "Root mean squared error "
            + horizon
            + " steps ahead, in shares of a link's largest quiet load, by when a forecast is"
            + " made:");
    TextTable table = new TextTable(LinkLoadReport.HEADER.toArray(new String[0]));
    compared.rows().forEach(row -> table.row(LinkLoadReport.cells(row)));
    table.print(out);
    out.println();
    LinkComparison.Row best =
        compared.rows().stream()
            .min(Comparator.comparingDouble(LinkComparison.Row::overall))
            .orElseThrow();
    out.println(
        "Best after the failure: "
            + best.name()
            + ". The incremental network is trained again "
            + (compared.refitted() - compared.failure())
            + " steps after it.");
    if (report != null) {
      out.println("Report: " + report);
    }
  }

  /** Links over time, before any forecaster. */
  record LinkLog(
      String name,
      String story,
      List<String> links,
      double[][] loads,
      double[] elapsed,
      int failure,
      int period) {
    private static final int QUIET = 14;
    private static final int AFTER = 4;

    static LinkLog simulated(int nodes, int chords, long seed) {
      var traffic = NetworkTraffic.simulate(nodes, chords, QUIET, AFTER, seed);
      // The failed link carries nothing, which nobody needs to forecast.
      int[] others =
          IntStream.range(0, traffic.links().size())
              .filter(link -> link != traffic.failed())
              .toArray();
      double[][] loads =
          Arrays.stream(traffic.loads())
              .map(row -> Arrays.stream(others).mapToDouble(link -> row[link]).toArray())
              .toArray(double[][]::new);
      double[] ones = new double[loads.length];
      Arrays.fill(ones, 1);
      return new LinkLog(
          "Simulated network of " + nodes + " nodes",
          "Link "
              + traffic.links().get(traffic.failed())
              + " fails after "
              + QUIET
              + " periods; "
              + traffic.rerouted()
              + " of "
              + nodes * (nodes - 1) / 2
              + " demands are routed anew over the other "
              + others.length
              + " links.",
          Arrays.stream(others).mapToObj(traffic.links()::get).toList(),
          loads,
          ones,
          traffic.failure(),
          NetworkTraffic.PERIOD);
    }

    static LinkLog open(IndexedDataset rows, int change, int period) {
      int count = Math.toIntExact(rows.size());
      var gaps =
          Scopes.scoped(
              () -> {
                var batch = rows.read(IntStream.range(0, count).toArray());
                return Gaps.close(Tensors.rows(batch.inputs()), times(batch));
              });
      if (change <= 0 || change >= count) {
        throw new OutriggerException(
            rows.name()
                + " has "
                + count
                + " rows that can be read: --change-at "
                + change
                + " is none of them.");
      }
      return new LinkLog(
          rows.name(),
          count
              + " steps of "
              + rows.featureColumns().size()
              + " links; the change is at row "
              + change
              + ".",
          rows.featureColumns(),
          gaps.loads(),
          gaps.elapsed(),
          change,
          period);
    }

    /** Times in steps: of the time column, whose usual distance is one, or row numbers. */
    private static double[] times(Batch batch) {
      boolean column = !batch.times().isEmpty();
      List<String> texts = column ? batch.times() : batch.ids();
      double[] times = new double[texts.size()];
      for (int i = 0; i < times.length; i++) {
        try {
          times[i] = Double.parseDouble(texts.get(i));
        } catch (NumberFormatException e) {
          if (column) {
            throw new OutriggerException(
                "Row "
                    + i
                    + " has the time '"
                    + texts.get(i)
                    + "': --time-column must hold"
                    + " numbers, such as minutes.",
                e);
          }
          times[i] = i;
        }
      }
      if (column && times.length > 1) {
        double[] distances = new double[times.length - 1];
        Arrays.setAll(distances, i -> times[i + 1] - times[i]);
        Arrays.sort(distances);
        double usual = distances[distances.length / 2];
        if (usual > 0) {
          Arrays.setAll(times, i -> times[i] / usual);
        }
      }
      return times;
    }

    int steps() {
      return loads.length;
    }

    /** [links, steps], in the enclosing scope. */
    Tensor tensor() {
      return Tensors.of(loads).t().contiguous();
    }

    Tensor elapsedTensor() {
      return Tensors.of(elapsed, elapsed.length);
    }
  }
}
