package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.HeterogeneousData;
import org.outrigger.adapt.HeterogeneousData.SourceCodes;
import org.outrigger.adapt.Ktf;
import org.outrigger.adapt.NoiseSource;
import org.outrigger.adapt.TargetOnly;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.DataFiles;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TableWriter;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.report.ReportPage;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Learns few labels with the help of a source of other features. */
@Command(
    name = "heterogeneous",
    mixinStandardHelpOptions = true,
    description = {
      "Labels rows from a few labelled ones and a source of other features.",
      "The source is a labelled table of any width with the same classes, or noise with a mean for"
          + " each class. With --truth it tells how accurate this is, with and without the source."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger adapt heterogeneous --noise separated --labelled few.csv \\",
      "      --unlabelled rows.csv --label kind --out predictions.csv",
      "  outrigger adapt heterogeneous --source-table texts.parquet \\",
      "      --source-label topic --labelled few.csv --unlabelled rows.csv \\",
      "      --label topic --out predictions.csv --save ktf.safetensors",
      "  outrigger adapt heterogeneous --learned ktf.safetensors \\",
      "      --unlabelled later.csv --out later-predictions.csv"
    })
final class AdaptHeterogeneousCommand implements Runnable {
  private enum Noise {
    SEPARATED,
    UNIFORM,
    LAPLACE,
    MOMENTS
  }

  /** A table, noise, or what was learned from either. */
  static final class Origin {
    @Option(
        names = "--source-table",
        paramLabel = "PATH",
        description = "A labelled table; its width is that of the common space.")
    private @Nullable Path table;

    @Option(
        names = "--noise",
        paramLabel = "KIND",
        description =
            "separated: a mean for each class; uniform, laplace: none; moments: means and"
                + " covariances that differ.")
    private @Nullable Noise noise;

    @Option(
        names = "--learned",
        paramLabel = "FILE",
        description = "What --save wrote: nothing is learned, --unlabelled is predicted.")
    private @Nullable Path learned;
  }

  @Spec private CommandSpec spec;

  @ArgGroup(multiplicity = "1")
  private @Nullable Origin origin;

  @Option(
      names = "--source-label",
      paramLabel = "COLUMN",
      defaultValue = "label",
      description = "The label column of --source-table; ${DEFAULT-VALUE} by default.")
  private String sourceLabel;

  @Option(
      names = "--separation",
      paramLabel = "KAPPA",
      defaultValue = "2",
      description = "How far the classes of noise are apart; ${DEFAULT-VALUE} by default.")
  private double separation;

  @Option(
      names = "--noise-rows",
      paramLabel = "N",
      defaultValue = "50",
      description = "Rows of noise a class; ${DEFAULT-VALUE} by default.")
  private int noiseRows;

  @Option(
      names = "--width",
      paramLabel = "D",
      defaultValue = "256",
      description = "Values of a row of noise; ${DEFAULT-VALUE} by default.")
  private int width;

  @Option(
      names = "--labelled",
      paramLabel = "PATH",
      description = "A few labelled rows, at least one of each class.")
  private @Nullable Path labelled;

  @Option(
      names = "--unlabelled",
      required = true,
      paramLabel = "PATH",
      description = "The rows to label.")
  private Path unlabelled;

  @Option(
      names = "--truth",
      description = "The label column is in --unlabelled too: measure how accurate this is.")
  private boolean truth;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the predictions go: .parquet, .csv or .jsonl.")
  private Path out;

  @Option(
      names = "--save",
      paramLabel = "FILE",
      description = "Write what was learned (.safetensors).")
  private @Nullable Path save;

  @Option(
      names = "--setting",
      paramLabel = "KEY=VALUE",
      description = "A setting, such as mu=0.1 for texts; see 'outrigger methods shda-ktf'.")
  private Map<String, String> settings = Map.of();

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of noise and weights; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    if (save != null) {
      AtomicFiles.check(save);
    }
    device.apply();
    Origin chosen = Objects.requireNonNull(origin);
    if (chosen.learned != null) {
      predict(chosen.learned);
    } else if (labelled == null) {
      throw new OutriggerException(
          "A source alone teaches no label of the target: name a few labelled rows with --labelled.");
    } else {
      learn(chosen, labelled);
    }
  }

  private void predict(Path learned) {
    if (labelled != null || save != null || !settings.isEmpty()) {
      throw new OutriggerException(
          "--learned predicts with what a file holds: leave out --labelled, --save and --setting.");
    }
    try (PointerScope scope = new PointerScope();
        Ktf ktf = new Ktf()) {
      ktf.restore(StateFiles.read(learned));
      List<String> classes = ktf.classNames();
      try (TensorDataset many = toLabel(classes, List.of())) {
        write(ktf.probabilities(many.inputs().flatten(1, -1)), many, classes);
      }
      spec.commandLine().getOut().println("Predictions: " + out);
    }
  }

  private void learn(Origin chosen, Path known) {
    Map<String, Object> changes = new LinkedHashMap<>(settings);
    changes.put("seed", seed);
    try (PointerScope scope = new PointerScope();
        Ktf ktf = Methods.create(Ktf.class, "shda-ktf", changes);
        TensorDataset few = rows(reading.open(known, List.of(), null, "train"));
        TensorDataset many = toLabel(few.classNames(), few.featureColumns())) {
      if (!few.labelled()) {
        throw new OutriggerException(
            few.name() + " has no labels: name the label column with --label.");
      }
      int classes =
          Math.max(few.classNames().size(), 1 + Arrays.stream(few.labels()).max().orElse(-1));
      SourceCodes source = source(chosen, few.classNames(), classes);
      HeterogeneousData data =
          new HeterogeneousData(
              source.codes(),
              source.labels(),
              few.inputs().flatten(1, -1),
              Tensors.labels(few.labels()),
              many.inputs().flatten(1, -1));
      Ktf.Fit fit;
      try (Progress progress = new Progress("Learning", ktf.settings().iterations())) {
        fit = ktf.fit(data, few.classNames(), (step, steps, loss) -> progress.to(step));
      }
      write(ktf.probabilities(data.unlabelled()), many, few.classNames());
      if (save != null) {
        StateFiles.write(save, ktf.state());
      }
      tell(source, data, many, ktf, fit);
    }
  }

  /** In memory, as all rows are needed at once. */
  private TensorDataset rows(Dataset data) {
    PrintWriter err = spec.commandLine().getErr();
    IndexedDataset all = Tables.inMemory(data, err);
    if (all != data && all instanceof TensorDataset copy) {
      return copy;
    }
    TensorDataset finite = TensorDataset.copyOf(all);
    if (finite.size() < all.size()) {
      err.println((all.size() - finite.size()) + " rows of " + data.name() + " could not be read.");
    }
    return finite;
  }

  private TensorDataset toLabel(List<String> classes, List<String> columns) {
    return rows(
        truth
            ? reading.open(unlabelled, classes, null, "test", columns)
            : reading.openUnlabelled(unlabelled, columns));
  }

  private SourceCodes source(Origin chosen, List<String> classes, int count) {
    if (chosen.table != null) {
      Path path = chosen.table;
      Dataset data =
          EmbeddedData.names(path)
              ? EmbeddedData.open(path.toString(), "train", classes)
              : DataFiles.open(path, DataOptions.defaults().label(sourceLabel).classNames(classes));
      try (TensorDataset table = TensorDataset.copyOf(data)) {
        if (!table.labelled()) {
          throw new OutriggerException(
              table.name() + " has no labels: name the label column with --source-label.");
        }
        return new SourceCodes(
            table.name(), table.inputs().flatten(1, -1).clone(), Tensors.labels(table.labels()));
      }
    }
    return switch (Objects.requireNonNull(chosen.noise)) {
      case SEPARATED -> NoiseSource.separated(separation, count, noiseRows, width, seed);
      case UNIFORM -> NoiseSource.uniform(count, noiseRows, width, seed);
      case LAPLACE -> NoiseSource.laplace(count, noiseRows, width, seed);
      case MOMENTS -> NoiseSource.differentMoments(separation, count, width, seed);
    };
  }

  private void write(Tensor probabilities, Dataset rows, List<String> classes) {
    Map<String, Class<?>> columns = new LinkedHashMap<>();
    columns.put("id", String.class);
    columns.put("label", Integer.class);
    columns.put("class_name", String.class);
    columns.put("probability", Double.class);
    Tensor best = probabilities.argmax(new LongOptional(1), true);
    int[] labels = Tensors.ints(best.squeeze(1));
    double[] top = Tensors.doubles(probabilities.gather(1, best).squeeze(1));
    int next = 0;
    try (TableWriter writer = TableWriter.open(out, columns);
        Batches batches = rows.batches(1024)) {
      while (batches.hasNext()) {
        try (Batch batch = batches.next()) {
          for (String id : batch.ids()) {
            int label = labels[next];
            writer.write(
                id,
                label,
                label < classes.size() ? classes.get(label) : Integer.toString(label),
                top[next]);
            next++;
          }
        }
      }
      writer.commit();
    }
  }

  private void tell(
      SourceCodes source, HeterogeneousData data, TensorDataset many, Ktf ktf, Ktf.Fit fit) {
    PrintWriter text = spec.commandLine().getOut();
    text.println("source               " + source.name());
    text.println(
        "MMD                  " + ReportPage.number(fit.mmd()) + " (transferable if small)");
    text.printf(
        Locale.ROOT,
        "cross-entropy of it  %s (discriminable if far below ln C = %s)%n",
        ReportPage.number(fit.lossSource()),
        ReportPage.number(Math.log(fit.classes())));
    text.println(fit.advice());
    if (many.labelled()) {
      Tensor labels = Tensors.labels(many.labels());
      try (TargetOnly alone =
          TargetOnly.fit(
              data.labelled(),
              data.labels(),
              fit.classes(),
              TargetOnly.Settings.defaults().withSeed(seed))) {
        text.println(
            "Accuracy against the labels of --unlabelled: "
                + ReportPage.percent(ktf.accuracy(data.unlabelled(), labels))
                + "; without a source: "
                + ReportPage.percent(alone.accuracy(data.unlabelled(), labels))
                + ".");
      }
    }
    text.println("Predictions: " + out);
    if (save != null) {
      text.println("Learned: " + save);
    }
  }
}
