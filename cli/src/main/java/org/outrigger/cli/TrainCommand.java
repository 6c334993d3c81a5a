package org.outrigger.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.ColourJitter;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.optim.Objective;
import org.outrigger.core.optim.ResizedCrop;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.zoo.Zoo;
import org.outrigger.detect.Mol;
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
      "  outrigger train --arch mlp --data rows.csv --label species --epochs 50 \\",
      "      --patience 5 --out mlp.safetensors",
      "  outrigger train --from clothes.safetensors --data fashion-mnist \\",
      "      --lr 0.001 --epochs 3 --recipe outlier-exposure --outliers noise/ \\",
      "      --out exposed.safetensors",
      "  outrigger train --arch mlp --data mnist --recipe mol:iterations=1000 \\",
      "      --outliers other/ --shifts rotations:60:5 --out adaptable.safetensors",
      "  outrigger train --data sensors.csv --label state --recipe multiood \\",
      "      --arch-setting parts=vibration:24+current:8 --out sensors.safetensors",
      "  outrigger train --data birds/ --size 64 --hold-out 0.3 \\",
      "      --out base.safetensors",
      "  outrigger train --from base.safetensors --data birds/ --size 64 \\",
      "      --hold-out 0.3 --recipe mixoe --outliers photos/ --batch-size 32 \\",
      "      --lr 0.001 --out mixed.safetensors"
    })
final class TrainCommand implements Runnable {
  /** The share of known inputs that the guard of --guard accepts. */
  private static final double ACCEPT = 0.95;

  private enum Augment {
    NONE,
    CROP,
    CROP_AND_FLIP,
    SIMCLR;

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
      completionCandidates = Recipe.Names.class,
      description =
          "One of ${COMPLETION-CANDIDATES}; perhaps with settings: logit-norm:tau=0.1."
              + " ${DEFAULT-VALUE} (cross-entropy) by default.")
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
      description =
          "none, crop, crop-and-flip or simclr (resized crops and colours in 0 .. 1), of images;"
              + " ${DEFAULT-VALUE} by default.")
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

  @Mixin private LossArguments loss;
  @Mixin private HoldOutArguments holdOut;
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
          List<String> classes = holdOut.given() ? List.of() : network.classNames();
          run(network, rows(data, classes, "train", List.of()), recipe);
        }
      } else {
        IndexedDataset rows = rows(data, List.of(), "train", List.of());
        try (NeuralModel network = create(holdOut.known(rows, seed), recipe)) {
          run(network, rows, recipe);
        }
      }
    }
  }

  private void checkOptions(Recipe recipe) {
    loss.check(recipe);
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
    holdOut.check();
    HyperParameter.atLeast("--epochs", epochs, 1);
    HyperParameter.atLeast("--batch-size", batchSize, 1);
    HyperParameter.positive("--outlier-ratio", outlierRatio);
  }

  /** Opens labelled data, tables in memory, and says what could not be read. */
  private IndexedDataset rows(
      Path path, List<String> classNames, String part, List<String> columns) {
    IndexedDataset rows =
        Tables.inMemory(
            reading.open(path, classNames, null, part, columns), spec.commandLine().getErr());
    if (!rows.labelled()) {
      throw new OutriggerException(
          rows.name()
              + " has no labels to learn: use one folder of images a class, or name the label"
              + " column of a table with --label.");
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

  private NeuralModel create(IndexedDataset rows, Recipe recipe) {
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
        Zoo.create(architecture(shape, recipe), architectureSettings, shape, classes, seed),
        rows.classNames());
  }

  private String architecture(long[] shape, Recipe recipe) {
    String wanted = architecture == null ? recipe.architecture() : architecture;
    if (wanted != null) {
      return wanted.toLowerCase(Locale.ROOT);
    }
    return shape.length == 3 ? "resnet8" : "mlp";
  }

  private void run(NeuralModel model, IndexedDataset opened, Recipe recipe) {
    IndexedDataset all = holdOut.known(opened, seed);
    checkClasses(model, all);
    IndexedDataset train = all;
    IndexedDataset held;
    IndexedDataset unknown = holdOut.unknown(opened, seed);
    if (validation != null) {
      boolean own = holdOut.given() || model.classNames().isEmpty();
      IndexedDataset other =
          rows(
              validation,
              own ? opened.classNames() : model.classNames(),
              "test",
              all.featureColumns());
      held = holdOut.known(other, seed);
      unknown = holdOut.unknown(other, seed);
    } else {
      Splits parts = all.splitStratified(0.9, seed);
      train = parts.first();
      held = parts.second();
    }
    if (guard != null) {
      GuardFitting.check(detector, held, ACCEPT);
    }
    IndexedDataset strange =
        outliers == null
            ? null
            : Tables.inMemory(
                reading.open(outliers, List.of(), null, "test", all.featureColumns()),
                spec.commandLine().getErr());
    TrainingListener.Report report = train(model, train, held, strange, recipe);
    model.save(out);
    TrainingSummary summary =
        new TrainingSummary(
            model,
            out,
            recipeName,
            report,
            TrainingSummary.accuracy(model, held, batchSize),
            held.name() + (validation == null ? ", held out" : ""),
            unknown == null
                ? null
                : TrainingSummary.HeldOut.measure(
                    model, held, unknown, holdOut.names(opened, seed), batchSize),
            meta);
    if (json) {
      summary.printJson(spec.commandLine().getOut());
    } else {
      summary.print(
          spec.commandLine().getOut(),
          report.stoppedEarly() || (patience > 0 && report.bestEpoch() >= 0));
    }
    if (guard != null) {
      new GuardFitting(spec.commandLine())
          .fit(
              GuardFitting.builder(model, reading.preprocessing(), ACCEPT, batchSize, seed),
              model,
              held,
              detector,
              batchSize,
              seed,
              guard);
    }
  }

  /** A model that is trained on with classes held out must not know these. */
  private void checkClasses(NeuralModel model, IndexedDataset known) {
    if (holdOut.given() && !model.classNames().equals(known.classNames())) {
      throw new OutriggerException(
          from
              + " tells the classes "
              + String.join(", ", model.classNames())
              + " apart, but with --hold-out the data has "
              + String.join(", ", known.classNames())
              + ": hold out what the model was trained without.");
    }
  }

  private TrainingListener.Report train(
      NeuralModel model,
      IndexedDataset train,
      IndexedDataset held,
      @Nullable IndexedDataset strange,
      Recipe recipe) {
    boolean table =
        from == null && train.inputShape().length == 1 && Standardisation.foldsInto(model);
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
          report = fit(model, ready, heldReady, strangeReady, recipe);
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
    Objective objective = loss.objective(recipe, model, train, batchSize, seed);
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
      trainer.augment(
          augment == Augment.SIMCLR
              ? new ResizedCrop(0.2, true).then(ColourJitter.simClr())
              : new CropAndFlip(padding, augment == Augment.CROP_AND_FLIP));
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
}
