package org.outrigger.core.optim;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.Capabilities.Differentiable;
import org.outrigger.core.model.Model;

/**
 * Trains a model on a labelled data set. What is not set has a sensible default: cross-entropy, SGD
 * with Nesterov momentum at 0.1, a cosine down to zero over the whole run.
 *
 * <pre>{@code
 * Report report =
 *     Trainer.of(model)
 *         .settings(Trainer.Settings.defaults().withEpochs(20))
 *         .optimiser(p -> new AdamW(p, AdamW.settings(1e-3)))
 *         .augment(new CropAndFlip())
 *         .validation(validation)
 *         .fit(train);
 * }</pre>
 *
 * <p>All randomness (order of rows, augmentation, choice of outliers) is a function of the seed and
 * the step; the generators that the model itself draws from are saved in checkpoints. A resumed run
 * therefore continues to the last bit, given the same number of threads.
 */
public final class Trainer {
  /** What early stopping watches on the validation data. */
  public enum Monitor {
    LOSS,
    ACCURACY
  }

  /**
   * @param epochs passes over the data, 1 or more
   * @param batchSize rows of one step, 1 or more; a single row left over is left out of that epoch
   * @param clipNorm limit on the gradients' joint norm; 0 for none
   * @param clipValue limit on each entry of the gradients; 0 for none
   * @param emaDecay decay of the average of weights that validation uses and the model ends with; 0
   *     for none
   * @param patience epochs without a better validation score after which training stops and the
   *     best weights come back; 0 to train to the end and keep the last
   * @param monitor the validation score
   * @param seed of order, augmentation and outliers
   */
  public record Settings(
      int epochs,
      int batchSize,
      double clipNorm,
      double clipValue,
      double emaDecay,
      int patience,
      Monitor monitor,
      long seed) {
    public Settings {
      HyperParameter.atLeast("epochs", epochs, 1);
      HyperParameter.atLeast("batchSize", batchSize, 1);
      HyperParameter.notNegative("clipNorm", clipNorm);
      HyperParameter.notNegative("clipValue", clipValue);
      HyperParameter.require(
          emaDecay >= 0 && emaDecay < 1, "emaDecay", emaDecay, "0 or more and below 1");
      HyperParameter.atLeast("patience", patience, 0);
    }

    /** 10 epochs of batches of 128; nothing clipped, averaged or stopped early. */
    public static Settings defaults() {
      return new Settings(10, 128, 0, 0, 0, 0, Monitor.LOSS, 0);
    }

    public Settings withEpochs(int value) {
      return new Settings(value, batchSize, clipNorm, clipValue, emaDecay, patience, monitor, seed);
    }

    public Settings withBatchSize(int value) {
      return new Settings(epochs, value, clipNorm, clipValue, emaDecay, patience, monitor, seed);
    }

    public Settings withClipNorm(double value) {
      return new Settings(epochs, batchSize, value, clipValue, emaDecay, patience, monitor, seed);
    }

    public Settings withClipValue(double value) {
      return new Settings(epochs, batchSize, clipNorm, value, emaDecay, patience, monitor, seed);
    }

    public Settings withEmaDecay(double value) {
      return new Settings(epochs, batchSize, clipNorm, clipValue, value, patience, monitor, seed);
    }

    public Settings withPatience(int value, Monitor watched) {
      return new Settings(epochs, batchSize, clipNorm, clipValue, emaDecay, value, watched, seed);
    }

    public Settings withSeed(long value) {
      return new Settings(
          epochs, batchSize, clipNorm, clipValue, emaDecay, patience, monitor, value);
    }
  }

  final Model model;
  final Differentiable network;
  Settings settings = Settings.defaults();
  Objective objective = new CrossEntropy();
  Function<Map<String, Tensor>, Optimiser> optimiser = p -> new Sgd(p, Sgd.Settings.nesterov(0.1));
  Function<TrainingListener.Plan, Schedule> schedule = plan -> Schedule.cosine(plan.totalSteps());
  @Nullable IndexedDataset outliers;
  double outlierRatio;
  @Nullable Dataset validation;
  @Nullable Augmentation augmentation;
  @Nullable Path checkpoint;
  long checkpointSteps;
  @Nullable Path resume;
  TrainingListener listener = new TrainingListener() {};

  private Trainer(Model model, Differentiable network) {
    this.model = model;
    this.network = network;
  }

  /**
   * A trainer of that model.
   *
   * @throws OutriggerException if it cannot be differentiated
   */
  public static Trainer of(Model model) {
    return new Trainer(
        model,
        model
            .as(Differentiable.class)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The model "
                            + model.name()
                            + " cannot be trained: it gives no gradients. Use a TorchScript model or"
                            + " one of the built-in architectures.")));
  }

  public Trainer settings(Settings value) {
    settings = value;
    return this;
  }

  public Trainer objective(Objective value) {
    objective = value;
    return this;
  }

  /** How the optimiser is made from what is to be trained. */
  public Trainer optimiser(Function<Map<String, Tensor>, Optimiser> value) {
    optimiser = value;
    return this;
  }

  public Trainer schedule(Schedule value) {
    schedule = plan -> value;
    return this;
  }

  /** A schedule that depends on how many steps there will be. */
  public Trainer scheduleFor(Function<TrainingListener.Plan, Schedule> value) {
    schedule = value;
    return this;
  }

  /**
   * Adds {@code ratio} times the batch size of rows from {@code data} to each batch, with label -1,
   * in the same forward pass unless the objective is a {@link StepObjective}. Their order is
   * shuffled and begins anew when all have been used, unless the objective is an {@link
   * OutlierChoice}. Labels that they have are not used, but the listener is {@linkplain
   * TrainingListener#warned warned} if they name a class of the training data.
   *
   * @param ratio above 0
   */
  public Trainer outliers(IndexedDataset data, double ratio) {
    HyperParameter.positive("ratio", ratio);
    outliers = data;
    outlierRatio = ratio;
    return this;
  }

  /** Measures loss and accuracy on this after each epoch. */
  public Trainer validation(Dataset data) {
    validation = data;
    return this;
  }

  public Trainer augment(Augmentation value) {
    augmentation = value;
    return this;
  }

  /** Writes a checkpoint after each epoch. */
  public Trainer checkpoint(Path file) {
    return checkpoint(file, 0);
  }

  /**
   * Writes a checkpoint after each epoch and within an epoch after every so many steps.
   *
   * @param everySteps 0 for after epochs only
   */
  public Trainer checkpoint(Path file, long everySteps) {
    HyperParameter.atLeast("everySteps", everySteps, 0);
    checkpoint = file;
    checkpointSteps = everySteps;
    return this;
  }

  /** Continues from a checkpoint. More epochs may be asked for than its run had. */
  public Trainer resume(Path file) {
    resume = file;
    return this;
  }

  public Trainer listener(TrainingListener value) {
    listener = value;
    return this;
  }

  /**
   * Trains. The model ends in evaluation mode with its last weights, their average, or the best
   * ones, as the settings say.
   *
   * @throws OutriggerException if the data do not fit, or the loss stops being a finite number
   */
  public TrainingListener.Report fit(IndexedDataset train) {
    check(train, "training data");
    if (!train.labelled()) {
      throw new OutriggerException(
          "The training data '" + train.name() + "' has no labels: give a labelled data set.");
    }
    for (int row = 0; row < train.size() && model.classes() > 0; row++) {
      if (train.label(row) >= model.classes()) {
        throw new OutriggerException(
            "Row "
                + row
                + " of '"
                + train.name()
                + "' has label "
                + train.label(row)
                + ", but the model has "
                + model.classes()
                + " classes: 0 to "
                + (model.classes() - 1)
                + ".");
      }
    }
    if (outliers != null) {
      check(outliers, "outlier data");
      if (!Arrays.equals(outliers.inputShape(), train.inputShape())) {
        throw new OutriggerException(
            "Outliers have shape "
                + Arrays.toString(outliers.inputShape())
                + ", but the training inputs have "
                + Arrays.toString(train.inputShape())
                + ".");
      }
      warnOfShared(train, outliers);
    }
    if (settings.patience() > 0 && validation == null) {
      throw new OutriggerException(
          "Early stopping needs validation data: give some, or set patience = 0.");
    }
    try (TrainingRun run = new TrainingRun(this, train)) {
      return run.run();
    }
  }

  /** Outliers of a known class teach the network to doubt that class. */
  private void warnOfShared(IndexedDataset train, IndexedDataset strange) {
    Set<String> shared = classesOf(strange);
    shared.retainAll(classesOf(train));
    if (!shared.isEmpty()) {
      listener.warned(
          "The outliers '"
              + strange.name()
              + "' hold rows of the known classes "
              + String.join(", ", shared)
              + ", which the network will learn to doubt: leave these rows out.");
    }
  }

  /** The names of the classes that a data set has rows of; none if it names no classes. */
  private static Set<String> classesOf(IndexedDataset data) {
    Set<String> names = new TreeSet<>();
    if (data.labelled() && !data.classNames().isEmpty()) {
      Arrays.stream(data.labels())
          .distinct()
          .filter(label -> label >= 0 && label < data.classNames().size())
          .forEach(label -> names.add(data.classNames().get(label)));
    }
    return names;
  }

  private static void check(IndexedDataset data, String what) {
    if (data.size() == 0) {
      throw new OutriggerException("The " + what + " '" + data.name() + "' is empty.");
    }
  }
}
