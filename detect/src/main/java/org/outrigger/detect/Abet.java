package org.outrigger.detect;

import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities.Differentiable;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * AbeT, energy with an ablated learned temperature: a network whose last layer learns one
 * temperature t for each input (see {@link TemperatureHead}) is trained with cross-entropy on known
 * data alone; the score is {@code -log sum_c exp(g_c / t)}, the energy without the factor t in
 * front of it, which would pull unknown inputs back.
 *
 * <p>"Out-of-Distribution Detection and Applications With Ablated Learned Temperature Energy",
 * 2024. {@link #attach} puts the layer into a model, {@link Training} (the recipe {@code abet})
 * does that and trains. The paper trains 200 epochs in batches of 64: SGD at 0.1 with momentum 0.9
 * and decay 1e-4, the rate divided by ten after epochs 100, 150 and 180. The network must still
 * misclassify some training rows: where it fits all of them, t learns nothing.
 */
@Card(
    slug = "abet",
    name = "AbeT",
    summary = "Energy of logits that a learned temperature of each input has scaled.",
    paper =
        "Out-of-Distribution Detection and Applications With Ablated Learned Temperature Energy."
            + " arXiv, 2024",
    year = 2024,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.FEATURES, Need.LEARNED_TEMPERATURE},
    state = "copy of the head, which may be sparse; threshold")
public final class Abet extends FittedDetector<Abet.Settings> implements HasTraining {
  /** What the score is made of. */
  public enum Kind {
    /** {@code -log sum_c exp(f_c)}, the method. */
    ABLATED,
    /** {@code -t log sum_c exp(f_c)}, with the temperature in front, for comparison. */
    FOREFRONT,
    /** The temperature t alone, as in generalised ODIN. */
    TEMPERATURE
  }

  /** What becomes of the features or of the class weights; the temperature sees raw features. */
  public enum Shaping {
    NONE,
    /** Features are cut off at a percentile of all known activations; see {@link ReAct}. */
    REACT,
    /** Class weights of small contribution become 0; see {@link Dice}. */
    DICE,
    /** Each row's largest features are kept and scaled; see {@link AshS}. */
    ASH_S,
    /** Each row's largest features are kept and become equal; see {@link AshB}. */
    ASH_B;

    private boolean ash() {
      return this == ASH_S || this == ASH_B;
    }
  }

  /**
   * @param kind of score
   * @param shaping of features or class weights before the cosines; none for the temperature alone
   * @param percentile of the shaping, from 0 to below 100; 90 in the paper
   * @param background the class that boxes without an object have, which the sum over classes
   *     leaves out; -1 for none
   * @param noise a step of the input that lowers its score, 0 or more; 0 for none. Where there are
   *     only outputs and no inputs it is not taken
   * @param inputStd as in {@link Odin.Settings}
   */
  public record Settings(
      Kind kind,
      Shaping shaping,
      double percentile,
      int background,
      double noise,
      List<Double> inputStd) {
    public Settings {
      HyperParameter.require(kind != null, "kind", kind, "one of its names");
      HyperParameter.require(shaping != null, "shaping", shaping, "one of its names");
      HyperParameter.require(
          kind != Kind.TEMPERATURE || shaping == Shaping.NONE,
          "shaping",
          shaping,
          "NONE for the temperature alone, which sees raw features");
      HyperParameter.require(
          percentile >= 0 && percentile < 100, "percentile", percentile, "0 or more, below 100");
      HyperParameter.atLeast("background", background, -1);
      HyperParameter.notNegative("noise", noise);
      inputStd = List.copyOf(inputStd);
      inputStd.forEach(std -> HyperParameter.positive("inputStd", std));
    }

    public static Settings defaults() {
      return new Settings(Kind.ABLATED, Shaping.NONE, 90, -1, 0, List.of());
    }

    /** With another kind of score. */
    public Settings withKind(Kind value) {
      return new Settings(value, shaping, percentile, background, noise, inputStd);
    }

    /** With a shaping at that percentile. */
    public Settings withShaping(Shaping value, double at) {
      return new Settings(kind, value, at, background, noise, inputStd);
    }

    /** With a class that stands for no object. */
    public Settings withBackground(int value) {
      return new Settings(kind, shaping, percentile, value, noise, inputStd);
    }

    /** With a step of the input; 0.0014 in the paper for CIFAR-10. */
    public Settings withNoise(double value, List<Double> std) {
      return new Settings(kind, shaping, percentile, background, value, std);
    }
  }

  public Abet() {
    this(Settings.defaults());
  }

  public Abet(Settings settings) {
    super(settings);
  }

  /**
   * Puts a fresh head with a learned temperature in the place of a model's linear one, of the same
   * size, type and mode.
   *
   * @param seed of its weights
   * @return the linear layer, which the caller now owns and may put back with {@code
   *     model.root().replace(model.headPath(), layer)}
   * @throws OutriggerException if the last layer is not linear
   */
  public static Layer attach(NeuralModel model, long seed) {
    if (!(model.lastLayer() instanceof Linear linear)) {
      throw new OutriggerException(
          "AbeT replaces a linear last layer, but that of "
              + model.name()
              + " is "
              + model.lastLayer()
              + ": choose a model that ends in a linear layer.");
    }
    try (Rng rng = Rng.named(seed, "temperature head")) {
      TemperatureHead head = new TemperatureHead(linear.in(), linear.out(), rng);
      head.to(linear.tensor("weight").scalar_type().intern());
      return model.root().replace(model.headPath(), head);
    }
  }

  /**
   * The score.
   *
   * @param logits f of a {@link TemperatureHead}: [N, C], or [N, C, H, W] for each pixel
   * @return [N] or [N, H, W]
   */
  public static Tensor score(Tensor logits) {
    return logits.logsumexp(1).neg();
  }

  /**
   * The score with one class left out, such as the background of an object detector.
   *
   * @param logits [N, C] or [N, C, H, W]
   * @param background from 0 to C - 1; -1 for none
   * @return [N] or [N, H, W]
   */
  public static Tensor score(Tensor logits, int background) {
    if (background < 0) {
      return score(logits);
    }
    return Scopes.tensor(
        () -> {
          long after = background + 1L;
          Tensor first = logits.narrow(1, 0, background);
          Tensor rest = logits.narrow(1, after, logits.size(1) - after);
          return score(torch.cat(new TensorVector(first, rest), 1));
        });
  }

  /**
   * The score with the temperature left in front.
   *
   * @param score of {@link #score(Tensor, int)}, [N] or [N, H, W]
   * @param temperatures t, [N, 1] or [N, 1, H, W]
   * @return the same shape as {@code score}
   */
  public static Tensor forefront(Tensor score, Tensor temperatures) {
    return Scopes.tensor(() -> score.mul(temperatures.squeeze(1)));
  }

  /**
   * The class weights whose contribution to the known data's mean feature is large.
   *
   * @param mean the mean known feature, float64 [D]
   * @param weight [C, D]
   * @param percentile of {@code |mean W|} over all entries, above which a weight is kept
   * @return [C, D]; 0 elsewhere
   */
  public static Tensor sparse(Tensor mean, Tensor weight, double percentile) {
    return Scopes.tensor(
        () -> {
          Tensor contribution = weight.to(ScalarType.Double).mul(mean).abs();
          double threshold = Percentile.of(percentile, part -> part.accept(contribution));
          return weight.mul(contribution.gt(new Scalar(threshold)).to(weight.scalar_type()));
        });
  }

  @Override
  protected Fitted learn(Outputs known) {
    if (!(known.heads().last() instanceof TemperatureHead head) || head.maps()) {
      throw new OutriggerException(
          who()
              + " needs "
              + Need.LEARNED_TEMPERATURE.meaning()
              + ", which these outputs do not come from.");
    }
    HyperParameter.require(
        settings().background() < known.classes(),
        "background",
        settings().background(),
        "a class below " + known.classes() + ", or -1");
    long dimension = head.in();
    Tensor weight = exact(head.cosine(), "weight").clone();
    Shapes.check()
        .size("C", known.classes(), "the known data")
        .tensor("The head's weight", weight, "C", "D");
    Shapes.finite("The head's weight", weight);
    double percentile = settings().percentile();
    double threshold = Double.POSITIVE_INFINITY;
    switch (settings().shaping()) {
      case REACT ->
          threshold =
              Percentile.of(
                  percentile,
                  part ->
                      Rows.forEach(who(), known, rows -> part.accept(rows.features(dimension))));
      case DICE -> weight = sparse(mean(known, dimension), weight, percentile);
      case NONE, ASH_S, ASH_B -> Rows.forEach(who(), known, rows -> rows.features(dimension));
    }
    HyperParameter.require(
        !settings().shaping().ash() || Ash.kept(dimension, percentile) > 0,
        "percentile",
        percentile,
        "low enough to keep one of " + dimension + " features");
    return temperature(head, new Fitted(known.classes(), dimension))
        .with("weight", weight)
        .with("threshold", Tensors.of(new double[] {threshold}, 1));
  }

  private Tensor mean(Outputs known, long dimension) {
    try (ClassMoments moments = ClassMoments.ofMeans(1, dimension)) {
      Rows.forEach(who(), known, rows -> moments.add(rows.features(dimension), null));
      return moments.mean();
    }
  }

  /** What t is in evaluation mode, as {@code sigmoid(h slope + offset)} with float64 values. */
  private static Fitted temperature(TemperatureHead head, Fitted fitted) {
    Layer linear = head.temperature().get("linear");
    Layer norm = head.temperature().get("norm");
    double eps = ((BatchNorm) norm).eps();
    Tensor scale =
        exact(norm, "weight").div(exact(norm, "running_var").add(new Scalar(eps)).sqrt());
    Tensor offset =
        exact(linear, "bias").sub(exact(norm, "running_mean")).mul(scale).add(exact(norm, "bias"));
    return fitted
        .with("slope", exact(linear, "weight").squeeze(0).mul(scale))
        .with("offset", offset);
  }

  private static Tensor exact(Layer layer, String name) {
    return layer.tensor(name).detach().to(ScalarType.Double);
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved weight", fitted.tensor("weight"), "C", "D")
        .tensor("The saved slope", fitted.tensor("slope"), "D")
        .tensor("The saved offset", fitted.tensor("offset"), "1")
        .tensor("The saved threshold", fitted.tensor("threshold"), "1");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor features = rows.features().to(ScalarType.Double);
    Tensor temperatures =
        TemperatureHead.temperatures(
                features.mv(fitted.tensor("slope")).add(fitted.tensor("offset")))
            .unsqueeze(1);
    if (settings().kind() == Kind.TEMPERATURE) {
      return temperatures.squeeze(1);
    }
    Tensor logits =
        settings().shaping() == Shaping.NONE
            ? rows.logits().to(ScalarType.Double)
            : TemperatureHead.cosines(shaped(fitted, features), fitted.tensor("weight"))
                .div(temperatures);
    Shapes.check()
        .size("C", fitted.classes(), "the data that " + who() + " was fitted on")
        .tensor("The logits", logits, "N", "C");
    Tensor score = score(logits, settings().background());
    return settings().kind() == Kind.FOREFRONT ? forefront(score, temperatures) : score;
  }

  private Tensor shaped(Fitted fitted, Tensor features) {
    if (!settings().shaping().ash()) {
      // Without ReAct the threshold is infinite.
      return torch.minimum(features, fitted.tensor("threshold"));
    }
    Ash.Variant variant = settings().shaping() == Shaping.ASH_S ? Ash.Variant.S : Ash.Variant.B;
    Tensor shaped = Ash.shape(features, settings().percentile(), variant);
    Shapes.finite(
        "The shaped activations (they must be 0 or more, as after ReLU, for ASH)", shaped);
    return shaped;
  }

  @Override
  public Set<Need> needs() {
    Set<Need> needs = EnumSet.copyOf(super.needs());
    if (settings().noise() > 0) {
      needs.add(Need.INPUT_GRADIENTS);
    }
    return needs;
  }

  /** Steps the input first, if the settings say so; the model goes into evaluation mode then. */
  @Override
  public Tensor score(Model model, Tensor inputs, Output output) {
    Settings now = settings();
    if (now.noise() == 0) {
      return score(output);
    }
    model.require(this, Detector.class);
    Shapes.finite("The inputs", inputs);
    Differentiable network = model.as(Differentiable.class).orElseThrow();
    return Scopes.tensor(
        () -> {
          network.train(false);
          Tensor gradient =
              Scopes.grad(
                  true,
                  () -> {
                    Tensor x = inputs.detach().clone().requires_grad_(true);
                    Tensor logits = network.forward(x).logits();
                    return Gradients.of(score(logits, now.background()).sum(), x);
                  });
          return score(model.predict(Odin.perturb(inputs, gradient, now.noise(), now.inputStd())));
        });
  }

  @Override
  public TrainingObjective training() {
    return new Training(settings());
  }

  /**
   * Cross-entropy of a network whose last layer has a learned temperature; {@link #prepare} puts it
   * in. Outliers in a batch are left out of the loss.
   */
  public static final class Training implements TrainingObjective {
    private final Settings settings;

    private Training(Settings settings) {
      this.settings = settings;
    }

    @Override
    public Card card() {
      return Objects.requireNonNull(Abet.class.getAnnotation(Card.class));
    }

    @Override
    public Settings settings() {
      return settings;
    }

    @Override
    public Set<Need> needs() {
      return Set.of(
          Need.FEATURES,
          Need.PARAMETER_GRADIENTS,
          Need.SWAPPABLE_LAYERS,
          Need.TRAINING,
          Need.LABELS);
    }

    /** Replaces a linear last layer; a model that has a learned temperature stays as it is. */
    @Override
    public void prepare(Model model, IndexedDataset train, int batchSize, long seed) {
      if (!(model instanceof NeuralModel network)) {
        throw new OutriggerException(
            "AbeT replaces the last layer, which only a network of layers allows: "
                + model.name()
                + " is none.");
      }
      if (!(network.lastLayer() instanceof TemperatureHead)) {
        attach(network, seed).close();
      }
    }

    @Override
    public Tensor loss(Output output, Tensor labels) {
      Losses.check(output.logits(), labels);
      return Scopes.tensor(
          () -> Losses.mean(Losses.crossEntropy(output.logits(), labels), Losses.known(labels)));
    }
  }
}
