package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.select.Candidate;
import org.outrigger.select.ModelRanking;
import org.outrigger.select.ModelScore;
import org.outrigger.select.PooledLayers;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Ranks models for a data set without training them. */
@Command(
    name = "rank",
    mixinStandardHelpOptions = true,
    description = {
      "Ranks models, or their layers, for a labelled data set without training them.",
      "Each model runs once over the data; scores of what it makes of them foretell how well it"
          + " would do after fine-tuning. Larger is better, and only numbers of one column compare."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger train --data fashion-mnist --limit 3000 --epochs 4 \\",
      "      --arch lenet --out models/trained.safetensors",
      "  outrigger train --data fashion-mnist --limit 100 --epochs 1 \\",
      "      --arch lenet --out models/hardly.safetensors",
      "  outrigger rank --models models/ --data mnist --limit 500",
      "",
      "  outrigger rank --models models/ --data birds/ --size 224 --by sfda \\",
      "      --report models.html",
      "  outrigger rank --models resnet.pt vit.onnx --data birds/ --scores tmi,logme",
      "  outrigger rank --models resnet.pt --layers --data birds/ --scores tmi,gbc",
      "  outrigger rank --models models/ --data birds/ --accuracies tuned.csv",
      "",
      "The file of --accuracies has two columns, model and accuracy: what fine-tuning some of the"
          + " models came to. It shows which scores to trust for the others."
    })
final class RankCommand implements Runnable {
  /** Rows that show whether the output of a layer can be used. */
  private static final int FEW = 2;

  @Spec private CommandSpec spec;

  @Option(
      names = "--models",
      required = true,
      arity = "1..*",
      paramLabel = "PATH",
      description = "Model files, or folders with model files in them.")
  private List<Path> models = List.of();

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "The labelled target set. Its classes need not be those of the models.")
  private Path data;

  @Option(
      names = "--scores",
      paramLabel = "NAME,...",
      defaultValue = "all",
      description = "all, or scores with settings; ${DEFAULT-VALUE} by default.")
  private String list;

  @Option(
      names = "--by",
      paramLabel = "NAME",
      description = "The score to sort by; logme, or the first of --scores, by default.")
  private @Nullable String by;

  @Option(
      names = "--layers",
      description = "Rank the layers of each model too, pooled to one row of numbers an input.")
  private boolean layers;

  @Option(
      names = "--agreement",
      paramLabel = "HOW",
      defaultValue = "weighted",
      description =
          "How scores are compared with each other: weighted (Kendall's tau, in which the best count"
              + " more), kendall or spearman; ${DEFAULT-VALUE} by default.")
  private RankTable.Agreement agreement;

  @Option(
      names = "--accuracies",
      paramLabel = "FILE",
      description = "A CSV file of models and their accuracies after fine-tuning, to judge scores.")
  private @Nullable Path accuracies;

  @Option(names = "--report", paramLabel = "FILE", description = "Write an HTML page.")
  private @Nullable Path report;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a forward pass; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Seed of the sample that is taken of very many rows; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Mixin private ModelArguments model;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    if (report != null) {
      AtomicFiles.check(report);
    }
    Map<String, ModelScore> scores = scores();
    String first = by == null ? usual(scores) : by(scores, by);
    Map<String, Path> files = RankFiles.find(models);
    Map<String, Double> known =
        accuracies == null ? Map.of() : RankFiles.accuracies(accuracies, files);
    device.apply();
    IndexedDataset rows = target();
    ModelRanking ranking = new ModelRanking(scores);
    Map<String, String> left = new LinkedHashMap<>();
    long steps = (long) files.size() * rows.size();
    try (Progress progress = new Progress("Ranking", steps)) {
      long done = 0;
      for (Map.Entry<String, Path> file : files.entrySet()) {
        progress.say(file.getKey());
        try {
          add(ranking, file.getKey(), file.getValue(), rows, progress, done);
        } catch (OutriggerException e) {
          left.put(file.getKey(), e.firstLine());
        }
        done += rows.size();
        progress.to(done);
      }
    }
    if (ranking.sorted(first).isEmpty()) {
      Map.Entry<String, String> one = left.entrySet().iterator().next();
      throw new OutriggerException(
          "None of "
              + files.size()
              + (files.size() == 1 ? " model" : " models")
              + " could be scored. "
              + one.getKey()
              + ": "
              + one.getValue());
    }
    RankTable table = new RankTable(rows.name(), rows.size(), classes(rows), first, agreement);
    show(table, ranking, left, known);
  }

  private void show(
      RankTable table, ModelRanking ranking, Map<String, String> left, Map<String, Double> known) {
    List<ModelRanking.Judgement> judged = known.isEmpty() ? List.of() : ranking.judge(known);
    if (report != null) {
      RankReport.of(table, ranking, left, known, judged).write(report);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(Json.pretty(table.toJson(ranking, left, known, judged)));
      return;
    }
    table.print(out, ranking, left, known, judged);
    if (report != null) {
      out.println();
      out.println("Report: " + report);
    }
  }

  private Map<String, ModelScore> scores() {
    return list.strip().toLowerCase(Locale.ROOT).equals("all")
        ? ModelRanking.all()
        : ModelRanking.named(Methods.parse(ModelScore.class, list));
  }

  private static String usual(Map<String, ModelScore> scores) {
    return scores.containsKey("logme") ? "logme" : scores.keySet().iterator().next();
  }

  private static String by(Map<String, ModelScore> scores, String wanted) {
    String slug = Methods.slug(wanted);
    return scores.keySet().stream()
        .filter(name -> name.equals(wanted) || name.equals(slug))
        .findFirst()
        .orElseThrow(
            () ->
                new OutriggerException(
                    "--by "
                        + wanted
                        + " is none of the scores that are computed: "
                        + String.join(", ", scores.keySet())
                        + "."));
  }

  /** The rows with a label. */
  private IndexedDataset target() {
    var opened = reading.open(data, List.of(), null);
    if (!opened.labelled()) {
      throw new OutriggerException(
          opened.name()
              + " has no labels, by which models are ranked: use one folder of images a class, or"
              + " name the label column of a table with --label.");
    }
    IndexedDataset rows = Tables.inMemory(opened, spec.commandLine().getErr());
    int[] labels = rows.labels();
    int[] known = IntStream.range(0, labels.length).filter(i -> labels[i] >= 0).toArray();
    if (known.length == 0) {
      throw new OutriggerException(
          rows.name() + " has no row with a label: check --label or --class-names.");
    }
    return known.length == labels.length ? rows : rows.subset(known);
  }

  private static int classes(IndexedDataset rows) {
    return (int) IntStream.of(rows.labels()).distinct().count();
  }

  private void add(
      ModelRanking ranking,
      String name,
      Path file,
      IndexedDataset rows,
      Progress progress,
      long done) {
    try (Model opened = model.open(file, device)) {
      PooledLayers pooled = new PooledLayers(opened);
      List<String> points = layers ? usable(pooled, rows) : List.of();
      RecordedOutputs.Options options =
          RecordedOutputs.Options.defaults()
              .withBatchSize(batchSize)
              .withSeed(seed)
              .withMaps(points)
              .withProgress(count -> progress.to(done + count));
      try (RecordedOutputs outputs = RecordedOutputs.record(pooled, rows, options)) {
        Skips.report(spec.commandLine().getErr(), rows.name(), outputs.skipped());
        Output output = outputs.output();
        Tensor labels = outputs.requireLabels("A score");
        Scopes.run(
            () ->
                ranking.add(
                    name,
                    Candidate.of(output, labels),
                    score -> progress.say(name + ", " + score)));
        for (String point : points) {
          String layer = name + "@" + point;
          Tensor map = output.maps().get(point);
          if (map != null) {
            Scopes.run(
                () ->
                    ranking.add(
                        layer,
                        new Candidate(map, labels, null),
                        score -> progress.say(layer + ", " + score)));
          }
        }
      }
    }
  }

  private static List<String> usable(PooledLayers pooled, IndexedDataset rows) {
    return Scopes.scoped(
        () -> {
          int few = (int) Math.min(FEW, rows.size());
          try (Batch batch = rows.read(IntStream.range(0, few).toArray())) {
            return pooled.usable(batch.inputs());
          }
        });
  }
}
