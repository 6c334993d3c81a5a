package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.optim.Objective;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.zoo.Zoo;
import org.outrigger.detect.Mol;
import org.outrigger.evaluate.report.ReportPage;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Trains a classifier. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    description = {
      "Trains a classifier on labelled images or rows, and perhaps fits a guard around it.",
      "Columns of a table are standardised; the model that is saved takes them as they are."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger train --data fashion-mnist --epochs 5 --out clothes.safetensors",
      "  outrigger train --arch resnet18 --data train/ --validation val/ --size 32 \\",
      "      --augment crop-and-flip --out photos.safetensors --guard photos.guard",
      "  outrigger train --arch mlp --data rows.csv --label species --epochs 50 --patience 5 \\",
      "      --out mlp.safetensors",
      "  outrigger train --from clothes.safetensors --data fashion-mnist --lr 0.001 --epochs 3 \\",
      "      --recipe outlier-exposure --outliers noise/ --out exposed.safetensors",
      "  outrigger train --arch mlp --data mnist --recipe mol:iterations=1000 --outliers other/ \\",
      "      --shifts rotations:60:5 --out adaptable.safetensors"
    })
final class TrainCommand implements Runnable {
  private enum Augment {
    NONE,
    CROP,
    CROP_AND_FLIP;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** Reads an {@link Augment} as it is written on command lines. */
  static final class AugmentConverter implements ITypeConverter<Augment> {
    @Override
    public Augment convert(String text) {
      return Arrays.stream(Augment.values())
          .filter(value -> value.toString().equals(text.toLowerCase(Locale.ROOT)))
          .findFirst()
          .orElseThrow(
              () ->
                  new TypeConversionException(
                      "'" + text + "' is none of " + List.of(Augment.values())));
    }
  }

  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "PATH",
      description = "One folder of images a class, a table with --label, or an embedded data set.")
  private Path data;

  @Option(
      names = "--validation",
      paramLabel = "PATH",
      description = "Measure on this; a tenth of --data is held out by default.")
  private @Nullable Path validation;

  @Option(
      names = "--arch",
      paramLabel = "NAME",
      description = "mlp, lenet, resnet8, ...; resnet8 for images and mlp for rows by default.")
  private @Nullable String architecture;

  @Option(
      names = "--arch-setting",
      paramLabel = "KEY=VALUE",
      description = "A setting of --arch that differs from its default.")
  private Map<String, String> architectureSettings = Map.of();

  @Option(
      names = "--from",
      paramLabel = "FILE",
      description = "Continue from this model's weights instead of drawn ones.")
  private @Nullable Path from;

  @Option(
      names = "--recipe",
      paramLabel = "NAME",
      defaultValue = "standard",
      description =
          "standard (cross-entropy), outlier-exposure, energy-fine-tuning, entropic-open-set,"
              + " logit-norm, vos, cider or mol, perhaps with settings: logit-norm:tau=0.1.")
  private String recipeName;

  @Option(
      names = "--outliers",
      paramLabel = "PATH",
      description = "Inputs of no class, for recipes that learn from them.")
  private @Nullable Path outliers;

  @Option(
      names = "--outlier-ratio",
      paramLabel = "R",
      defaultValue = "1",
      description = "Outliers in a batch for each row; ${DEFAULT-VALUE} by default.")
  private double outlierRatio;

  @Option(
      names = "--shifts",
      paramLabel = "FAMILY",
      description =
          "What mol learns to adapt to: rotations (rotations:TO:STEP in degrees) or corruptions"
              + " (corruptions:NAME+NAME); rotations:60:5 by default.")
  private @Nullable String shifts;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "10",
      description = "Passes over the data; ${DEFAULT-VALUE} by default.")
  private int epochs;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Rows a step; ${DEFAULT-VALUE} by default.")
  private int batchSize;

  @Option(
      names = "--augment",
      paramLabel = "HOW",
      converter = AugmentConverter.class,
      defaultValue = "none",
      description = "none, crop or crop-and-flip (of images); ${DEFAULT-VALUE} by default.")
  private Augment augment;

  @Option(
      names = "--patience",
      paramLabel = "N",
      description = "Stop after so many epochs without a lower validation loss; keep the best.")
  private int patience;

  @Option(
      names = "--ema",
      paramLabel = "DECAY",
      description = "Average the weights with this decay, such as 0.999, and keep the average.")
  private double ema;

  @Option(
      names = "--clip",
      paramLabel = "NORM",
      description = "Limit the norm of the gradients, against losses that explode.")
  private double clip;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of weights, order and split; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(
      names = "--checkpoint",
      paramLabel = "FILE",
      description = "Save the state of training here after each epoch.")
  private @Nullable Path checkpoint;

  @Option(
      names = "--resume",
      description = "Continue from --checkpoint, if it is there, to the last bit.")
  private boolean resume;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the model is saved: .safetensors.")
  private Path out;

  @Option(
      names = "--guard",
      paramLabel = "DIR",
      description = "Also fit a guard on the validation data and save it.")
  private @Nullable Path guard;

  @Option(
      names = {"--detector", "--detectors"},
      paramLabel = "NAME,...",
      defaultValue = "auto",
      description = "The detectors of --guard; ${DEFAULT-VALUE} by default.")
  private String detector;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  private @Nullable MetaTraining meta;

  @Mixin private OptimiserArguments optimiser;
  @Mixin private DataArguments reading;
  @Mixin private Device device;

  @Override
  public void run() {
    try (Recipe recipe = Recipe.parse(recipeName)) {
      checkOptions(recipe);
      recipe.checkOutliers(outliers != null);
      device.apply();
      if (from != null) {
        try (var opened = ModelFiles.open(from)) {
          if (!(opened instanceof NeuralModel network)) {
            throw new OutriggerException(
                from + " cannot be trained on: --from takes a .safetensors file of Outrigger's.");
          }
          run(network, rows(data, network.classNames(), "train"), recipe);
        }
      } else {
        IndexedDataset rows = rows(data, List.of(), "train");
        try (NeuralModel network = create(rows)) {
          run(network, rows, recipe);
        }
      }
    }
  }

  private void checkOptions(Recipe recipe) {
    if (!out.toString().toLowerCase(Locale.ROOT).endsWith(".safetensors")) {
      throw new OutriggerException(
          "The model cannot be saved as " + out + ": name a .safetensors file with --out.");
    }
    AtomicFiles.check(out);
    if (guard != null) {
      AtomicFiles.check(guard);
    }
    if (checkpoint != null) {
      AtomicFiles.check(checkpoint);
    } else if (resume) {
      throw new OutriggerException("--resume needs --checkpoint: name the file to continue from.");
    }
    if (device.name().startsWith("cuda")) {
      throw new OutriggerException(
          "Training runs on the CPU: leave --device " + device.name() + " out.");
    }
    if (from != null && architecture != null) {
      throw new OutriggerException("Give either --from or --arch: a model's file says what it is.");
    }
    if (patience > 0 && !recipe.measurable()) {
      throw new OutriggerException(
          "--patience needs a loss that can be measured on other data, which the recipe "
              + recipeName
              + " has not: leave it out.");
    }
    Mol mol = recipe.meta();
    if (mol != null) {
      String family = shifts == null ? "rotations" : shifts;
      meta = new MetaTraining(mol, family, spec.commandLine().getParseResult(), seed);
    } else if (shifts != null) {
      throw new OutriggerException("--shifts is for the recipe mol: leave it out.");
    }
    HyperParameter.atLeast("--epochs", epochs, 1);
    HyperParameter.atLeast("--batch-size", batchSize, 1);
    HyperParameter.positive("--outlier-ratio", outlierRatio);
  }

  /** Opens labelled data, tables in memory, and says what could not be read. */
  private IndexedDataset rows(Path path, List<String> classNames, String part) {
    IndexedDataset rows =
        Tables.inMemory(reading.open(path, classNames, null, part), spec.commandLine().getErr());
    if (!rows.labelled()) {
      throw new OutriggerException(
          rows.name()
              + " has no labels to learn: use one folder of images a class, or name the label column"
              + " of a table with --label.");
    }
    int[] labels = Arrays.stream(rows.labels()).filter(label -> label >= 0).distinct().toArray();
    if (labels.length < 2) {
      throw new OutriggerException(
          rows.name()
              + " holds rows of "
              + (labels.length == 0 ? "no class" : "one class")
              + " that the model knows: at least two are needed.");
    }
    return rows;
  }

  private NeuralModel create(IndexedDataset rows) {
    long[] shape = rows.inputShape();
    if (Arrays.stream(shape).anyMatch(size -> size <= 0)) {
      throw new OutriggerException(
          "The images of " + rows.name() + " differ in size: give them one with --size.");
    }
    int classes =
        rows.classNames().isEmpty()
            ? Arrays.stream(rows.labels()).max().orElse(0) + 1
            : rows.classNames().size();
    return NeuralModel.of(
        Zoo.create(architecture(shape), architectureSettings, shape, classes, seed),
        rows.classNames());
  }

  private String architecture(long[] shape) {
    if (architecture != null) {
      return architecture.toLowerCase(Locale.ROOT);
    }
    return shape.length == 3 ? "resnet8" : "mlp";
  }

  private void run(NeuralModel model, IndexedDataset all, Recipe recipe) {
    IndexedDataset train = all;
    IndexedDataset held;
    if (validation != null) {
      held =
          rows(
              validation,
              model.classNames().isEmpty() ? all.classNames() : model.classNames(),
              "test");
    } else {
      Splits parts = all.splitStratified(0.9, seed);
      train = parts.first();
      held = parts.second();
    }
    if (guard != null) {
      GuardFitting.check(detector, held);
    }
    IndexedDataset strange =
        outliers == null
            ? null
            : Tables.inMemory(reading.open(outliers, List.of(), null), spec.commandLine().getErr())
                .asUnknown();
    TrainingListener.Report report = train(model, train, held, strange, recipe);
    double accuracy = accuracy(model, held);
    model.save(out);
    print(model, report, accuracy, held.name());
    if (guard != null) {
      new GuardFitting(spec.commandLine())
          .fit(
              GuardFitting.builder(model, reading.preprocessing(), 0.95, batchSize, seed),
              model,
              held,
              detector,
              batchSize,
              seed,
              guard);
    }
  }

  private double accuracy(NeuralModel model, Dataset held) {
    Accuracy accuracy = new Accuracy();
    try (Batches batches = held.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          if (batch.labels() != null) {
            accuracy.add(model.predict(batch.inputs()).logits(), batch.labels());
          }
        }
      }
    }
    return accuracy.value();
  }

  private TrainingListener.Report train(
      NeuralModel model,
      IndexedDataset train,
      IndexedDataset held,
      @Nullable IndexedDataset strange,
      Recipe recipe) {
    boolean table = from == null && train.inputShape().length == 1;
    if (!table) {
      return fit(model, train, held, strange, recipe);
    }
    try (TensorDataset rows = TensorDataset.copyOf(train);
        Standardisation columns = Standardisation.of(rows);
        TensorDataset ready = columns.apply(rows);
        TensorDataset heldReady = columns.apply(held)) {
      TrainingListener.Report report;
      if (strange == null) {
        report = fit(model, ready, heldReady, null, recipe);
      } else {
        try (TensorDataset strangeReady = columns.apply(strange)) {
          report = fit(model, ready, heldReady, strangeReady.asUnknown(), recipe);
        }
      }
      columns.foldInto(model);
      return report;
    }
  }

  private TrainingListener.Report fit(
      NeuralModel model,
      IndexedDataset train,
      IndexedDataset held,
      @Nullable IndexedDataset strange,
      Recipe recipe) {
    if (meta != null && strange != null) {
      meta.fit(model, train, strange);
      return new TrainingListener.Report(List.of(), -1, false, 0);
    }
    Objective objective = recipe.prepare(model, train, batchSize);
    Trainer trainer =
        Trainer.of(model)
            .settings(
                Trainer.Settings.defaults()
                    .withEpochs(epochs)
                    .withBatchSize(batchSize)
                    .withPatience(patience, Trainer.Monitor.LOSS)
                    .withEmaDecay(ema)
                    .withClipNorm(clip)
                    .withSeed(seed))
            .objective(objective)
            .optimiser(optimiser.optimiser(model.name()))
            .scheduleFor(optimiser::schedule);
    if (recipe.measurable()) {
      trainer.validation(held);
    }
    if (strange != null) {
      trainer.outliers(strange, outlierRatio);
    }
    if (augment != Augment.NONE) {
      if (train.inputShape().length != 3) {
        throw new OutriggerException("--augment is for images: leave it out for rows of a table.");
      }
      int padding = (int) Math.max(1, train.inputShape()[1] / 8);
      trainer.augment(new CropAndFlip(padding, augment == Augment.CROP_AND_FLIP));
    }
    if (checkpoint != null) {
      trainer.checkpoint(checkpoint);
      if (resume && Files.exists(checkpoint)) {
        trainer.resume(checkpoint);
      }
    }
    TrainingListener.Report report;
    try (TrainingProgress progress =
        new TrainingProgress(spec.commandLine().getErr(), train.name())) {
      report = trainer.listener(progress).fit(train);
    }
    if (recipe.leavesHead()) {
      HeadTraining.fit(model, train, batchSize, seed);
    }
    return report;
  }

  private void print(
      NeuralModel model, TrainingListener.Report report, double accuracy, String measured) {
    PrintWriter to = spec.commandLine().getOut();
    if (json) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("model", out.toString());
      all.put("architecture", model.architecture());
      all.put("recipe", recipeName);
      all.put("validationAccuracy", accuracy);
      all.put("stoppedEarly", report.stoppedEarly());
      all.put("epochs", report.epochs());
      if (meta != null) {
        all.put("meta", meta.figures());
      }
      to.println(Json.pretty(all));
      return;
    }
    TextTable table = new TextTable("epoch", "loss", "accuracy", "validation loss", "validation");
    int every = Math.max(1, (report.epochs().size() + 9) / 10);
    for (TrainingListener.Epoch epoch : report.epochs()) {
      TrainingListener.Validation each = epoch.validation();
      boolean last = epoch.epoch() == report.epochs().size() - 1;
      if ((epoch.epoch() + 1) % every == 0 || last) {
        table.row(
            Integer.toString(epoch.epoch() + 1),
            ReportPage.number(epoch.loss()),
            ReportPage.percent(epoch.accuracy()),
            each == null ? "-" : ReportPage.number(each.loss()),
            each == null ? "-" : ReportPage.percent(each.accuracy()));
      }
    }
    if (meta != null) {
      meta.print(to);
    } else {
      table.print(to);
      to.println();
    }
    if (report.stoppedEarly() || (patience > 0 && report.bestEpoch() >= 0)) {
      to.println("best epoch            " + (report.bestEpoch() + 1) + ", whose weights are kept");
    }
    to.println(
        "validation accuracy   "
            + ReportPage.percent(accuracy)
            + " ("
            + measured
            + (validation == null ? ", held out)" : ")"));
    to.println("model                 " + out);
  }
}
