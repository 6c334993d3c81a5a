package org.outrigger.detect;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.DualEncoder;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.AdamW;
import org.outrigger.core.optim.ParameterGroup;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Teaches a copy of a text tower to say no, from images and their captions. The image tower, the
 * text tower and the scale stay as they are, so the classifier does too; see {@link ClipnLoss} for
 * what is minimised and {@link Clipn} for what it is good for.
 *
 * <p>Every draw depends on the seed and the number of the step alone, so a run that was saved and
 * restored between two steps continues to the last bit. Wang et al., ICCV 2023.
 */
public final class ClipnTraining implements Stateful, AutoCloseable {
  private static final String TYPE = "clipn/training";

  /**
   * @param prompts rows of learned prompts; 16 in the paper, 0 for captions negated by hand
   * @param learningRate of AdamW after the warm-up
   * @param beta1 of AdamW
   * @param beta2 of AdamW
   * @param epsilon of AdamW
   * @param weightDecay of tensors of two or more dimensions; vectors do not decay
   * @param weight of each part of the loss, above 0
   * @param tsoEps keeps the gradient finite where both towers agree, above 0
   * @param warmUp steps over which the learning rate rises first
   * @param cosine whether the learning rate then falls along half a cosine; otherwise it stays
   * @param steps of the whole run; 14,110 are the paper's ten epochs of 2.89 million pairs in
   *     batches of 2,048
   * @param seed of prompts' rows and data order
   */
  public record Settings(
      int prompts,
      double learningRate,
      double beta1,
      double beta2,
      double epsilon,
      double weightDecay,
      double weight,
      double tsoEps,
      long warmUp,
      boolean cosine,
      long steps,
      long seed) {
    public Settings {
      HyperParameter.atLeast("prompts", prompts, 0);
      HyperParameter.positive("weight", weight);
      HyperParameter.positive("tsoEps", tsoEps);
      HyperParameter.atLeast("warmUp", warmUp, 0);
      HyperParameter.atLeast("steps", steps, 1);
      Objects.requireNonNull(adam(learningRate, beta1, beta2, epsilon, weightDecay));
    }

    private static Adam.Settings adam(
        double learningRate, double beta1, double beta2, double epsilon, double weightDecay) {
      return new Adam.Settings(learningRate, beta1, beta2, epsilon, weightDecay, false);
    }

    Adam.Settings adam() {
      return adam(learningRate, beta1, beta2, epsilon, weightDecay);
    }

    public static Settings defaults() {
      return new Settings(16, 3e-4, 0.9, 0.98, 1e-6, 0.2, 0.5, 1e-4, 0, true, 14_110, 0);
    }

    public Settings withPrompts(int rows) {
      return new Settings(
          rows,
          learningRate,
          beta1,
          beta2,
          epsilon,
          weightDecay,
          weight,
          tsoEps,
          warmUp,
          cosine,
          steps,
          seed);
    }

    public Settings withLearningRate(double rate) {
      return new Settings(
          prompts,
          rate,
          beta1,
          beta2,
          epsilon,
          weightDecay,
          weight,
          tsoEps,
          warmUp,
          cosine,
          steps,
          seed);
    }

    /** With a learning rate that does not fall. */
    public Settings withConstantRate() {
      return new Settings(
          prompts,
          learningRate,
          beta1,
          beta2,
          epsilon,
          weightDecay,
          weight,
          tsoEps,
          warmUp,
          false,
          steps,
          seed);
    }

    public Settings withSteps(long count) {
      return new Settings(
          prompts,
          learningRate,
          beta1,
          beta2,
          epsilon,
          weightDecay,
          weight,
          tsoEps,
          warmUp,
          cosine,
          count,
          seed);
    }

    public Settings withSeed(long value) {
      return new Settings(
          prompts,
          learningRate,
          beta1,
          beta2,
          epsilon,
          weightDecay,
          weight,
          tsoEps,
          warmUp,
          cosine,
          steps,
          value);
    }
  }

  /**
   * The parts of the loss before a step; see {@link ClipnLoss.Parts}.
   *
   * @param step from 0
   */
  public record Losses(long step, double yes, double no, double opposite, double total) {}

  private final DualEncoder clip;
  private final Settings settings;
  private final NegatedText negated;
  private final AdamW optimiser;
  private final Schedule schedule;
  private long step;

  /**
   * @param clip a trained pair of towers; borrowed, never changed
   */
  public ClipnTraining(DualEncoder clip, Settings settings) {
    this.clip = clip;
    this.settings = settings;
    negated = NegatedText.of(clip.text(), settings.prompts());
    optimiser = new AdamW(ParameterGroup.decayMatricesOnly(negated.parameters()), settings.adam());
    Schedule falling =
        settings.cosine()
            ? Schedule.cosine(Math.max(1, settings.steps() - settings.warmUp()))
            : Schedule.constant();
    schedule = falling.warmUp(settings.warmUp());
  }

  public Settings settings() {
    return settings;
  }

  /** The tower that is trained; borrowed. */
  public NegatedText negated() {
    return negated;
  }

  /** How many steps were made. */
  public long steps() {
    return step;
  }

  /**
   * One step on images [N, C, H, W] and their captions, int64 tokens [N, L], no two of the same
   * meaning.
   */
  public Losses step(Tensor images, Tensor tokens) {
    return step(images, tokens, tokens);
  }

  /**
   * One step where the tower that says no reads other texts, such as captions negated by hand.
   *
   * @param images [N, C, H, W], N of 2 or more
   * @param tokens int64 [N, L]
   * @param negatedTokens int64 [N, K]
   */
  public Losses step(Tensor images, Tensor tokens, Tensor negatedTokens) {
    return Scopes.scoped(() -> embedded(clip.images(images), tokens, negatedTokens));
  }

  /**
   * One step on images that were embedded before, which saves the image tower's pass.
   *
   * @param images unit rows [N, P], N of 2 or more
   * @param tokens int64 [N, L]
   * @throws OutriggerException if there are fewer than two pairs, or the loss is not finite; then
   *     nothing has changed
   */
  public Losses embedded(Tensor images, Tensor tokens) {
    return embedded(images, tokens, tokens);
  }

  private Losses embedded(Tensor images, Tensor tokens, Tensor negatedTokens) {
    Shapes.check()
        .tensor("The images", images, "N", "P")
        .tensor("The captions", tokens, "N", "L")
        .tensor("The negated captions", negatedTokens, "N", "K");
    try (PointerScope scope = new PointerScope()) {
      return Scopes.grad(true, () -> update(images.detach(), tokens, negatedTokens));
    }
  }

  private Losses update(Tensor images, Tensor tokens, Tensor negatedTokens) {
    Tensor denied = negated.forward(negatedTokens, rows(tokens.size(0)));
    ClipnLoss.Parts parts =
        ClipnLoss.of(images, clip.texts(tokens), denied, clip.scale(), settings.tsoEps());
    Tensor total = parts.total(settings.weight());
    Losses losses =
        new Losses(
            step,
            parts.yes().item_double(),
            parts.no().item_double(),
            parts.opposite().item_double(),
            total.item_double());
    if (!Double.isFinite(losses.total())) {
      throw new OutriggerException(
          "The loss of CLIPN is not finite at step " + step + ": lower the learning rate.");
    }
    optimiser.clearGradients();
    total.backward();
    optimiser.pace(schedule.factor(step));
    optimiser.step();
    optimiser.clearGradients();
    step++;
    return losses;
  }

  /** A row of prompts for each text, uniform over the rows and their mean. */
  private Tensor rows(long texts) {
    try (Rng rng = Rng.named(settings.seed(), "prompts " + step)) {
      return rng.uniform(ScalarType.Double, texts)
          .mul(new Scalar(settings.prompts() + 1.0))
          .to(ScalarType.Long);
    }
  }

  /**
   * Trains up to the end of the run, from where it stands, in shuffled epochs. Of pairs with the
   * same caption in a batch the first is used alone.
   *
   * @param images M rows
   * @param tokens int64 [M, L], the caption of each row
   * @param batchSize 2 or more
   * @param listener told each step's losses
   */
  public void fit(IndexedDataset images, Tensor tokens, int batchSize, Consumer<Losses> listener) {
    HyperParameter.atLeast("batchSize", batchSize, 2);
    Shapes.check().size("M", images.size(), images.name()).tensor("The captions", tokens, "M", "L");
    int all = Math.toIntExact(images.size());
    long perEpoch = Math.max(1, all / batchSize);
    long epoch = -1;
    int[] order = {};
    while (step < settings.steps()) {
      if (step / perEpoch != epoch) {
        epoch = step / perEpoch;
        order = order(all, epoch);
      }
      int from = Math.toIntExact(step % perEpoch) * batchSize;
      int[] rows = Arrays.copyOfRange(order, from, Math.min(all, from + batchSize));
      try (PointerScope scope = new PointerScope();
          Batch batch = images.read(rows)) {
        Tensor captions = tokens.index_select(0, Tensors.labels(rows));
        Tensor chosen = distinct(captions);
        listener.accept(
            step(batch.inputs().index_select(0, chosen), captions.index_select(0, chosen)));
      }
    }
  }

  private int[] order(int rows, long epoch) {
    try (PointerScope scope = new PointerScope();
        Rng rng = Rng.named(settings.seed(), "order " + epoch)) {
      return Tensors.ints(rng.permutation(rows));
    }
  }

  /** The first row of each different one, int64, in order. */
  static Tensor distinct(Tensor tokens) {
    return Scopes.tensor(
        () -> {
          T_TensorTensorTensor_T unique = torch.unique_dim(tokens, 0, true, true, false);
          Tensor which = unique.get1();
          long rows = tokens.size(0);
          Tensor first =
              torch.full(
                  new long[] {unique.get0().size(0)},
                  new Scalar(rows),
                  new TensorOptions(ScalarType.Long));
          Tensor running = torch.arange(new Scalar(rows), new TensorOptions(ScalarType.Long));
          return first.scatter_reduce(0, which, running, "amin").sort().get0();
        });
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    State inner = optimiser.state();
    values.put("settings", Methods.values(settings));
    values.put("step", step);
    values.put("optimiser", inner.values());
    negated.state().tensors().forEach((name, tensor) -> tensors.put("negated/" + name, tensor));
    inner.tensors().forEach((name, tensor) -> tensors.put("optimiser/" + name, tensor));
    return new State(TYPE, 1, values, tensors);
  }

  /**
   * Continues a run that was saved with the same settings.
   *
   * @throws OutriggerException if the settings differ or the state does not fit the towers; then
   *     nothing has changed
   */
  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Map<String, Object> saved = state.map("settings");
    Methods.values(settings)
        .forEach(
            (name, value) -> {
              if (!same(saved.get(name), value)) {
                throw new OutriggerException(
                    "The saved run had "
                        + name
                        + " = "
                        + saved.get(name)
                        + ", this one has "
                        + value
                        + ": use the same to continue it exactly.");
              }
            });
    double at = state.number("step");
    HyperParameter.between("step", at, 0, settings.steps());
    Map<String, Tensor> weights = below(state.tensors(), "negated/");
    negated.stateDict().forEach((name, tensor) -> fits(name, tensor, weights.get(name)));
    weights.keySet().retainAll(negated.stateDict().keySet());
    optimiser.restore(
        new State(
            "optimiser/adamw", 1, state.map("optimiser"), below(state.tensors(), "optimiser/")));
    negated.loadStateDict(weights, true);
    step = (long) at;
  }

  private static boolean same(@Nullable Object saved, Object now) {
    return saved instanceof Number s && now instanceof Number n
        ? Double.compare(s.doubleValue(), n.doubleValue()) == 0
        : now.equals(saved);
  }

  private static void fits(String name, Tensor tensor, @Nullable Tensor saved) {
    if (saved == null || !Arrays.equals(saved.shape(), tensor.shape())) {
      throw new OutriggerException(
          "The saved run does not fit this text tower: "
              + name
              + " is "
              + (saved == null ? "missing" : "of shape " + Arrays.toString(saved.shape()))
              + ", but "
              + Arrays.toString(tensor.shape())
              + " is needed.");
    }
  }

  private static Map<String, Tensor> below(Map<String, Tensor> tensors, String prefix) {
    Map<String, Tensor> found = new LinkedHashMap<>();
    tensors.forEach(
        (name, tensor) -> {
          if (name.startsWith(prefix)) {
            found.put(name.substring(prefix.length()), tensor);
          }
        });
    return found;
  }

  @Override
  public void close() {
    optimiser.close();
    negated.close();
  }
}
