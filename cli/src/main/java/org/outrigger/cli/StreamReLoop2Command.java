package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.evaluate.report.Chart;
import org.outrigger.evaluate.report.ReportPage;
import org.outrigger.stream.memory.EventReplay;
import org.outrigger.stream.memory.EventReplay.Figures;
import org.outrigger.stream.memory.ReLoop2;
import org.outrigger.stream.memory.Scorer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Replays a log of events through a model with an error memory. */
@Command(
    name = "reloop2",
    mixinStandardHelpOptions = true,
    description = {
      "Replays a log of labelled events through a model with and without an error memory.",
      "The memory (ReLoop2) corrects each probability by the labels of recent, similar events;"
          + " nothing is trained.",
      "A slot of events is predicted first and written to the memory afterwards, so that no"
          + " prediction sees its own label.",
      "Without --data, clicks of users whose tastes change are made up."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger stream reloop2 --report memory.html",
      "  outrigger stream reloop2 --set memory=samples --set k=50 --set lambda=0.7",
      "  outrigger stream reloop2 --data clicks.csv --label clicked \\",
      "      --features user,item,hour --time-column time --delay 1",
      "  outrigger stream reloop2 --data visits.parquet --label bought \\",
      "      --model shop.safetensors --train 0.2 --json",
      "",
      "'outrigger methods reloop2' lists the settings that --set takes."
    })
final class StreamReLoop2Command implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "A table of events with categorical ids as whole numbers, and --label 0 or 1.")
  private @Nullable Path data;

  @Option(
      names = "--model",
      paramLabel = "FILE",
      description =
          "Score with this model; by default a recommender is trained on the first events.")
  private @Nullable Path file;

  @Option(
      names = "--positive",
      paramLabel = "CLASS",
      defaultValue = "1",
      description = "The model's class that counts as positive; ${DEFAULT-VALUE} by default.")
  private int positive;

  @Option(
      names = "--keys",
      paramLabel = "LAYER",
      defaultValue = "",
      description = "The inner layer whose output tells similar events; the last by default.")
  private String keys;

  @Option(
      names = "--train",
      paramLabel = "SHARE",
      defaultValue = "0.6",
      description =
          "The first share of the events, which the model knows; ${DEFAULT-VALUE} by default.")
  private double train;

  @Option(
      names = "--slots",
      paramLabel = "N",
      defaultValue = "10",
      description = "Cut the other events into so many slots; ${DEFAULT-VALUE} by default.")
  private int slots;

  @Option(
      names = "--delay",
      paramLabel = "SLOTS",
      defaultValue = "0",
      description = "Labels come so many slots later; ${DEFAULT-VALUE} by default.")
  private int delay;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "A setting of the memory, such as memory=samples or lambda=0.7; repeated.")
  private Map<String, String> settings = new LinkedHashMap<>();

  @Option(
      names = "--incremental",
      description = "Also train the recommender on each slot, once its labels have come.")
  private boolean incremental;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "6",
      description = "Passes that train the recommender; ${DEFAULT-VALUE} by default.")
  private int epochs;

  @Option(
      names = "--learning-rate",
      paramLabel = "R",
      defaultValue = "0.005",
      description = "Of Adam, which trains it; ${DEFAULT-VALUE} by default.")
  private double rate;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of made-up data, weights and memory; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print all figures as JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    HyperParameter.inside("--train", train, 0, 1);
    if (incremental && file != null) {
      throw new OutriggerException(
          "--incremental trains the recommender that is made here: leave --model out.");
    }
    Map<String, Object> changes = new LinkedHashMap<>(settings);
    changes.putIfAbsent("seed", seed);
    device.apply();
    try (ReLoop2 memory = Methods.create(ReLoop2.class, "reloop2", changes);
        EventLog log =
            data == null
                ? EventLog.simulated(train, seed)
                : EventLog.open(
                    Tables.inMemory(
                        reading.open(data, List.of(), null), spec.commandLine().getErr()),
                    file == null)) {
      long known = Math.round(log.size() * train);
      if (known < 2 || log.size() - known < slots) {
        throw new OutriggerException(
            log.name()
                + " has "
                + log.size()
                + " events: too few for a share of "
                + train
                + " to train on and "
                + slots
                + " slots.");
      }
      try (Model scorer = file != null ? model.open(file, device) : recommender(log, known)) {
        EventReplay.Report replayed = replay(memory, scorer, log, known);
        tell(replayed, memory, scorer, log, known);
      }
    }
  }

  private NeuralModel recommender(EventLog log, long known) {
    NeuralModel made =
        NeuralModel.create(
            "recommender", Map.of("rows", log.ids()), new long[] {log.ids().size()}, 2, seed);
    try {
      train(made, log.inputs().narrow(0, 0, known), log.labels().narrow(0, 0, known), epochs);
      return made;
    } catch (RuntimeException e) {
      made.close();
      throw e;
    }
  }

  private void train(NeuralModel network, Tensor inputs, Tensor labels, int passes) {
    try (TensorDataset rows =
        Scopes.scoped(() -> TensorDataset.of(inputs, labels.to(ScalarType.Long)))) {
      Trainer.of(network)
          .settings(
              Trainer.Settings.defaults()
                  .withEpochs(passes)
                  .withBatchSize((int) Math.min(128, rows.size()))
                  .withSeed(seed))
          .optimiser(p -> new Adam(p, Adam.Settings.of(rate)))
          .schedule(Schedule.constant())
          .fit(rows);
    }
  }

  private EventReplay.Report replay(ReLoop2 memory, Model opened, EventLog log, long known) {
    Scorer scorer = Scorer.of(opened, positive, keys);
    EventReplay.Learner learner =
        incremental && opened instanceof NeuralModel network
            ? (inputs, labels) -> train(network, inputs, labels, 1)
            : null;
    return Scopes.scoped(
        () -> {
          try (Progress progress = new Progress("Replaying", slots)) {
            memory.start(scorer.score(log.inputs().narrow(0, 0, known)).keys(), opened.name());
            return EventReplay.of(
                scorer,
                memory,
                log.inputs().narrow(0, known, log.size() - known),
                log.labels().narrow(0, known, log.size() - known),
                slots,
                delay,
                learner,
                progress::to);
          }
        });
  }

  private void tell(
      EventReplay.Report replayed, ReLoop2 memory, Model scorer, EventLog log, long known) {
    Figures warm = replayed.warm();
    double megabytes = memory.bytes() / (1024.0 * 1024.0);
    if (report != null) {
      page(replayed, megabytes, scorer, log, known).write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("data", log.name());
      all.put("model", scorer.name());
      all.put("settings", Methods.values(memory.settings()));
      all.put("bytes", memory.bytes());
      all.put("slots", replayed.slots().stream().map(Figures::toJson).toList());
      all.put("afterTheFirst", warm.toJson());
      out.println(Json.pretty(all));
      return;
    }
    TextTable table = new TextTable(HEADER.toArray(new String[0]));
    rows(replayed).forEach(table::row);
    table.print(out);
    out.println();
    out.println(
        String.format(
            Locale.ROOT,
            "After the first slot: AUC %.4f -> %.4f, log-loss %.4f -> %.4f. The memory takes %.1f"
                + " MB.",
            warm.auc(),
            warm.correctedAuc(),
            warm.logLoss(),
            warm.correctedLogLoss(),
            megabytes));
    if (report != null) {
      out.println("Report: " + report);
    }
  }

  private static final List<String> HEADER =
      List.of(
          "slot",
          "events",
          "positive",
          "AUC alone",
          "AUC corrected",
          "log-loss alone",
          "log-loss corrected",
          "memory filled");

  private static List<List<String>> rows(EventReplay.Report replayed) {
    List<List<String>> rows = new ArrayList<>();
    for (Figures slot : replayed.slots()) {
      rows.add(
          List.of(
              String.valueOf(rows.size() + 1),
              String.valueOf(slot.events()),
              ReportPage.percent(slot.positives()),
              ReportPage.number(slot.auc()),
              ReportPage.number(slot.correctedAuc()),
              ReportPage.number(slot.logLoss()),
              ReportPage.number(slot.correctedLogLoss()),
              ReportPage.percent(slot.filled())));
    }
    return rows;
  }

  private ReportPage page(
      EventReplay.Report replayed, double megabytes, Model scorer, EventLog log, long known) {
    Figures warm = replayed.warm();
    return new ReportPage(
            "What an error memory corrects",
            log.name()
                + ": "
                + (log.size() - known)
                + " events after "
                + known
                + " that the model knows, scored by "
                + scorer.name())
        .section("After the first slot", "")
        .figures(
            List.of(
                new ReportPage.Figure(
                    "AUC",
                    ReportPage.number(warm.correctedAuc()),
                    ReportPage.number(warm.auc()) + " by the model alone"),
                new ReportPage.Figure(
                    "log-loss",
                    ReportPage.number(warm.correctedLogLoss()),
                    ReportPage.number(warm.logLoss()) + " by the model alone"),
                new ReportPage.Figure(
                    "memory",
                    String.format(Locale.ROOT, "%.1f MB", megabytes),
                    "however many events come")))
        .section(
            "Over time", "A slot is predicted with what the memory holds of the slots before it.")
        .charts(
            chart(replayed, "AUC", Figures::auc, Figures::correctedAuc),
            chart(replayed, "log-loss", Figures::logLoss, Figures::correctedLogLoss))
        .table("", HEADER, rows(replayed));
  }

  private static Chart chart(
      EventReplay.Report replayed,
      String name,
      ToDoubleFunction<Figures> alone,
      ToDoubleFunction<Figures> corrected) {
    double[] x = IntStream.rangeClosed(1, replayed.slots().size()).asDoubleStream().toArray();
    return Chart.lines(
            name + " of each slot",
            name.equals("AUC") ? "Higher is better." : "Lower is better.",
            "slot",
            name,
            new Chart.Line(
                "model alone", x, replayed.slots().stream().mapToDouble(alone).toArray()),
            new Chart.Line(
                "with the memory", x, replayed.slots().stream().mapToDouble(corrected).toArray()))
        .zoomed();
  }
}
