package org.outrigger.adapt;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.FineTuner.Part;
import org.outrigger.adapt.FineTuner.Rule;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.optim.ColourJitter;
import org.outrigger.core.optim.ResizedCrop;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Few-shot source-free domain adaptation: fine-tunes a source model on k labelled target rows of
 * each class, and takes the checkpoint with the lowest loss on one more row of each. LP-FT first
 * trains the last layer alone, so that the features are not distorted by a head that does not fit;
 * then everything with a fresh optimiser.
 *
 * <p>A step draws its batch with replacement from the shots and descends on cross-entropy. The loss
 * on the validation rows is measured without augmentation every {@code valFreq} steps and at the
 * last; of ties the earliest counts. The accuracy on the test rows is measured of the source, after
 * each stage and of what was chosen, and chooses nothing.
 *
 * <p>"Few-shot Fine-tuning is All You Need for Source-free Domain Adaptation", 2023. There the
 * validation row is augmented like the shots, which makes its loss noisy; here it is not.
 */
@Card(
    slug = "few-shot-sfda",
    name = "Few-shot SFDA",
    summary = "Fine-tunes carefully on a few labelled target rows of each class.",
    paper = "Few-shot Fine-tuning is All You Need for Source-free Domain Adaptation. 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {
      Need.LOGITS,
      Need.PARAMETER_GRADIENTS,
      Need.SWAPPABLE_LAYERS,
      Need.TRAINING,
      Need.LABELS
    },
    state = "the adapted model, the rows it learned from, the validation curve")
public final class FewShotSfda implements OfflineAdapter {
  /** What is trained, in which order. */
  public enum Strategy {
    /** Linear probing: the last layer. */
    LP(Part.HEAD),
    /** Scales and shifts of the two-dimensional batch norms. */
    BN(Part.NORMS),
    /** Both of these. */
    LP_BN(Part.HEAD_AND_NORMS),
    /** All but the last layer. */
    FEAT(Part.FEATURES),
    /** Fine-tuning: everything. */
    FT(Part.ALL),
    /** The last layer first, then everything. */
    LP_FT(Part.ALL);

    private final Part part;

    Strategy(Part part) {
      this.part = part;
    }

    /**
     * The strategy of that name: {@code lp}, {@code bn}, {@code lp-bn}, {@code feat}, {@code ft} or
     * {@code lp-ft}.
     */
    public static Strategy of(String name) {
      return Stream.of(values())
          .filter(strategy -> strategy.word().equals(name.strip().toLowerCase(Locale.ROOT)))
          .findFirst()
          .orElseThrow(
              () ->
                  new OutriggerException(
                      "There is no strategy '"
                          + name
                          + "': use "
                          + String.join(", ", Stream.of(values()).map(Strategy::word).toList())
                          + "."));
    }

    /** Its name on command lines. */
    public String word() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /**
   * @param k shots of each class, 1 or more; one more chooses the checkpoint
   * @param strategy what is trained
   * @param lrLp the learning rate where the last layer alone is trained, above 0
   * @param lrFt the learning rate otherwise, above 0
   * @param stepsLp steps where the last layer alone is trained, 1 or more
   * @param stepsFt steps otherwise, 1 or more
   * @param batch rows a step, drawn with replacement; 1 or more, 2 where batch norms are trained
   * @param valFreq steps between two measurements of the validation loss, 1 or more
   * @param optimiser the base optimiser
   * @param weightDecay 0 or more
   * @param labelSmoothing of the training loss, in [0, 1]
   * @param holdout the share of each class that is kept apart for the test, in [0, 1)
   * @param sam whether steps are those of sharpness-aware minimisation
   * @param rho how far these climb, above 0
   * @param norms paths of the batch norms that bn and lp-bn train; empty: the first 53 over maps
   * @param seed of shots and batches
   */
  public record Settings(
      int k,
      Strategy strategy,
      double lrLp,
      double lrFt,
      int stepsLp,
      int stepsFt,
      int batch,
      int valFreq,
      Rule optimiser,
      double weightDecay,
      double labelSmoothing,
      double holdout,
      boolean sam,
      double rho,
      List<String> norms,
      long seed) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      Objects.requireNonNull(strategy);
      HyperParameter.positive("lrLp", lrLp);
      HyperParameter.positive("lrFt", lrFt);
      HyperParameter.atLeast("stepsLp", stepsLp, 1);
      HyperParameter.atLeast("stepsFt", stepsFt, 1);
      HyperParameter.atLeast("batch", batch, 1);
      HyperParameter.atLeast("valFreq", valFreq, 1);
      Objects.requireNonNull(optimiser);
      HyperParameter.notNegative("weightDecay", weightDecay);
      HyperParameter.between("labelSmoothing", labelSmoothing, 0, 1);
      HyperParameter.require(holdout >= 0 && holdout < 1, "holdout", holdout, "0 or more, below 1");
      HyperParameter.positive("rho", rho);
      norms = List.copyOf(norms);
    }

    public static Settings defaults() {
      return new Settings(
          3,
          Strategy.LP_FT,
          1e-4,
          1e-5,
          400,
          1000,
          32,
          10,
          Rule.ADAM,
          0,
          0,
          0.2,
          false,
          0.05,
          List.of(),
          0);
    }

    FineTuner.Settings stage(Part part) {
      return new FineTuner.Settings(
          part,
          optimiser,
          part == Part.HEAD ? lrLp : lrFt,
          weightDecay,
          labelSmoothing,
          sam ? rho : 0,
          norms);
    }

    int steps(Part part) {
      return part == Part.HEAD ? stepsLp : stepsFt;
    }

    List<Part> stages() {
      return strategy == Strategy.LP_FT ? List.of(Part.HEAD, Part.ALL) : List.of(strategy.part);
    }
  }

  private final Settings settings;
  private final @Nullable Augmentation augmentation;

  public FewShotSfda() {
    this(Settings.defaults());
  }

  public FewShotSfda(Settings settings) {
    this(settings, null);
  }

  private FewShotSfda(Settings settings, @Nullable Augmentation augmentation) {
    this.settings = Objects.requireNonNull(settings);
    this.augmentation = augmentation;
  }

  /** The same with random changes of the shots; each step draws its own. */
  public FewShotSfda augment(Augmentation change) {
    return new FewShotSfda(settings, change);
  }

  /**
   * The paper's changes of photographs [N, C, H, W] in [0, 1]: a crop of 0.7 to 1 of the area,
   * mirroring, colour jitter of 0.3 and grey with probability 0.1.
   */
  public static Augmentation photographs() {
    return new ResizedCrop(0.7, true).then(new ColourJitter(0.3, 0.3, 0.3, 0.3, 1, 0.1));
  }

  @Override
  public Settings settings() {
    return settings;
  }

  /** Draws the shots from a labelled target set and adapts. */
  @Override
  public FewShotResult adapt(NeuralModel source, IndexedDataset target, Listener listener) {
    FewShots shots =
        FewShots.draw(target, source.classes(), settings.k, settings.holdout, settings.seed);
    return adapt(source, target, shots, listener);
  }

  @Override
  public FewShotResult adapt(NeuralModel source, IndexedDataset target) {
    return adapt(source, target, Listener.NONE);
  }

  /**
   * Adapts with shots of one's own choice.
   *
   * @param shots rows of {@code target}
   */
  public FewShotResult adapt(
      NeuralModel source, IndexedDataset target, FewShots shots, Listener listener) {
    check(source, target, shots);
    FewShotResult result = new FewShotResult(source, settings, shots);
    try (PointerScope scope = new PointerScope()) {
      Rows train = Rows.read(target, shots.train());
      Rows validation = Rows.read(target, shots.validation());
      result.before(validation, target);
      long total = settings.stages().stream().mapToLong(settings::steps).sum();
      long done = 0;
      for (Part part : settings.stages()) {
        done = stage(result, part, train, validation, done, total, listener);
        result.stageEnded(part, target);
      }
      result.finished(target);
      return result;
    } catch (RuntimeException e) {
      result.close();
      throw e;
    }
  }

  private void check(NeuralModel source, IndexedDataset target, FewShots shots) {
    FewShots.requireBelow(target, target.labels(), source.classes());
    if (shots.train().isEmpty() || shots.validation().isEmpty()) {
      throw new OutriggerException(
          "There are "
              + shots.train().size()
              + " shots and "
              + shots.validation().size()
              + " validation rows: at least one of each is needed.");
    }
    FineTuner.requireDirections(source);
    for (Part part : settings.stages()) {
      FineTuner.Settings stage = settings.stage(part);
      FineTuner.select(source, stage);
      if (settings.batch < 2 && FineTuner.needsTwoRows(source, stage)) {
        throw new OutriggerException(
            "batch = 1 gives the batch norms of "
                + source.name()
                + " no statistics: use 2 or more, or the strategy lp.");
      }
    }
  }

  private long stage(
      FewShotResult result,
      Part part,
      Rows train,
      Rows validation,
      long before,
      long total,
      Listener listener) {
    int steps = settings.steps(part);
    boolean choose = part == settings.strategy.part;
    long done = before;
    try (FineTuner tuner = new FineTuner(result.last(), settings.stage(part))) {
      for (int step = 1; step <= steps; step++) {
        done++;
        double loss = step(tuner, train, done);
        if (step % settings.valFreq == 0 || step == steps) {
          result.measured(part, done, loss, validation, choose);
        }
        listener.stepped(done, total, loss);
      }
    }
    return done;
  }

  /** Each step draws with a generator of its own. */
  private double step(FineTuner tuner, Rows train, long step) {
    try (PointerScope scope = new PointerScope();
        Rng rng = Rng.named(settings.seed, "few-shot-sfda/" + step)) {
      Tensor chosen =
          rng.uniform(ScalarType.Double, settings.batch)
              .mul(new Scalar((double) train.labels().size(0)))
              .to(ScalarType.Long);
      Tensor inputs = train.inputs().index_select(0, chosen);
      if (augmentation != null) {
        inputs = augmentation.apply(inputs, rng);
      }
      return tuner.step(inputs, train.labels().index_select(0, chosen));
    }
  }

  /** Labelled rows in memory, in the enclosing scope. */
  record Rows(Tensor inputs, Tensor labels) {
    static Rows read(IndexedDataset data, List<Integer> rows) {
      int[] positions = rows.stream().mapToInt(Integer::intValue).toArray();
      Batch batch = data.strict().read(positions);
      int[] labels = Arrays.stream(positions).map(data::label).toArray();
      Shapes.finite("The rows of " + data.name(), batch.inputs());
      return new Rows(batch.inputs(), Tensors.labels(labels));
    }
  }
}
