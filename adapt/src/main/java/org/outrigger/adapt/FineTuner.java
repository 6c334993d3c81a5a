package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.BottleneckHead;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.WeightNormLinear;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.optim.ParameterGroup;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.torch.Gradients;

/**
 * Fine-tunes a chosen part of a network on labelled batches, with a fresh optimiser; the rest is
 * frozen and in the mode that goes with the part. Closing it unfreezes what it froze and leaves the
 * network in evaluation mode.
 *
 * <p>With {@code rho} above 0 steps are those of sharpness-aware minimisation: the weights climb
 * along their joint gradient, {@code e = rho g / (||g|| + 1e-12)}, the second gradient is taken
 * there, and the step starts from where the weights were. Foret et al., ICLR 2021.
 */
public final class FineTuner implements AutoCloseable {
  /** How many of the first batch norms {@link Part#NORMS} means: all of a ResNet-50. */
  static final int FIRST_NORMS = 53;

  private static final double TINY = 1e-12;

  /** What is trained, and what runs in training mode; all else is frozen and in evaluation mode. */
  public enum Part {
    /** The last layer. */
    HEAD,
    /** Scales and shifts of the batch norms over maps [N, C, H, W]. */
    NORMS,
    /** Both of these. */
    HEAD_AND_NORMS,
    /** All but the last layer. */
    FEATURES,
    /** Everything. */
    ALL;

    private boolean head() {
      return this == HEAD || this == HEAD_AND_NORMS;
    }

    private boolean norms() {
      return this == NORMS || this == HEAD_AND_NORMS;
    }
  }

  /** The base optimiser. */
  public enum Rule {
    ADAM,
    /** With Nesterov momentum 0.9. */
    SGD;

    Optimiser make(List<ParameterGroup> groups, double rate, double weightDecay) {
      return this == ADAM
          ? new Adam(groups, Adam.Settings.of(rate, weightDecay))
          : new Sgd(groups, new Sgd.Settings(rate, 0.9, 0, weightDecay, true));
    }
  }

  /**
   * @param part what is trained
   * @param rule the base optimiser
   * @param rate the learning rate, above 0
   * @param weightDecay 0 or more
   * @param labelSmoothing in [0, 1]
   * @param rho how far sharpness-aware steps climb; 0 for plain steps
   * @param norms paths of the batch norms that {@link Part#NORMS} means; empty: the first 53
   */
  public record Settings(
      Part part,
      Rule rule,
      double rate,
      double weightDecay,
      double labelSmoothing,
      double rho,
      List<String> norms) {
    public Settings {
      Objects.requireNonNull(part);
      Objects.requireNonNull(rule);
      HyperParameter.positive("rate", rate);
      HyperParameter.notNegative("weightDecay", weightDecay);
      HyperParameter.between("labelSmoothing", labelSmoothing, 0, 1);
      HyperParameter.notNegative("rho", rho);
      norms = List.copyOf(norms);
    }

    /** Plain Adam. */
    public static Settings of(Part part, double rate) {
      return new Settings(part, Rule.ADAM, rate, 0, 0, 0, List.of());
    }
  }

  private final NeuralModel model;
  private final Settings settings;
  private final Map<String, Tensor> trained;
  private final Map<String, Boolean> wasTrainable = new LinkedHashMap<>();
  private final Optimiser optimiser;

  /**
   * Freezes all but the part and sets modes.
   *
   * @param model is changed from now on, and borrowed
   * @throws OutriggerException if the part has no parameter that the model has not frozen; nothing
   *     has changed then
   */
  public FineTuner(NeuralModel model, Settings settings) {
    this(model, settings, 1);
  }

  /**
   * @param backbone the factor on the learning rate of all that is below the last layers
   */
  FineTuner(NeuralModel model, Settings settings, double backbone) {
    this.model = model;
    this.settings = settings;
    requireDirections(model);
    trained = select(model, settings);
    model
        .parameters()
        .forEach(
            (name, parameter) -> {
              wasTrainable.put(name, parameter.requires_grad());
              parameter.requires_grad_(trained.containsKey(name));
            });
    model.root().train(settings.part == Part.ALL || settings.part == Part.FEATURES);
    model.lastLayer().train(settings.part.head() || settings.part == Part.ALL);
    if (settings.part.norms()) {
      norms(model, settings).values().forEach(Layer::train);
    }
    optimiser = settings.rule.make(groups(backbone), settings.rate, settings.weightDecay);
  }

  private List<ParameterGroup> groups(double backbone) {
    // The bottleneck, where there is one, is beside the classifier.
    String last = model.headPath().replaceFirst("(^|\\.)[^.]*$", "");
    Map<String, Tensor> below = new LinkedHashMap<>(trained);
    Map<String, Tensor> above = new LinkedHashMap<>(trained);
    boolean bottleneck = model.root().get(last) instanceof BottleneckHead;
    String prefix = (bottleneck ? last : model.headPath()) + ".";
    below.keySet().removeIf(name -> name.startsWith(prefix));
    above.keySet().removeIf(name -> !name.startsWith(prefix));
    return List.of(
        ParameterGroup.of(below).withLearningRate(settings.rate * backbone),
        ParameterGroup.of(above));
  }

  /** A row of weight 0 of a weight-normalised layer would make every loss NaN. */
  static void requireDirections(NeuralModel model) {
    for (Layer layer : model.root().layers().values()) {
      if (layer instanceof WeightNormLinear normalised) {
        normalised.requireDirections();
      }
    }
  }

  /** The parameters of a part that are not frozen, by name; borrowed. */
  static Map<String, Tensor> select(NeuralModel model, Settings settings) {
    String head = model.headPath() + ".";
    Map<String, Layer> norms = settings.part.norms() ? norms(model, settings) : Map.of();
    Map<String, Tensor> parameters = new LinkedHashMap<>(model.root().trainable());
    parameters
        .keySet()
        .removeIf(
            name -> {
              boolean ofHead = name.startsWith(head);
              return switch (settings.part) {
                case ALL -> false;
                case FEATURES -> ofHead;
                default ->
                    !(settings.part.head() && ofHead)
                        && !norms.containsKey(
                            name.substring(0, Math.max(0, name.lastIndexOf('.'))));
              };
            });
    if (parameters.isEmpty()) {
      throw new OutriggerException(
          "Nothing of the model "
              + model.name()
              + " would be trained: its "
              + settings.part.name().toLowerCase(Locale.ROOT).replace('_', ' ')
              + " part has no parameter that is not frozen. Choose another strategy, or unfreeze"
              + " some.");
    }
    return parameters;
  }

  private static Map<String, Layer> norms(NeuralModel model, Settings settings) {
    Map<String, Layer> layers = model.root().layers();
    Map<String, Layer> norms = new LinkedHashMap<>();
    for (String path : settings.norms) {
      if (!(layers.get(path) instanceof BatchNorm norm)) {
        throw new OutriggerException(
            "The model "
                + model.name()
                + " has no batch norm '"
                + path
                + "'. It has: "
                + layers.entrySet().stream()
                    .filter(entry -> entry.getValue() instanceof BatchNorm)
                    .map(Map.Entry::getKey)
                    .collect(Collectors.joining(", "))
                + ".");
      }
      norms.put(path, norm);
    }
    if (settings.norms.isEmpty()) {
      layers.entrySet().stream()
          .filter(entry -> entry.getValue() instanceof BatchNorm2d)
          .limit(FIRST_NORMS)
          .forEach(entry -> norms.put(entry.getKey(), entry.getValue()));
    }
    return norms;
  }

  /** Whether batch norms use the statistics of the batch, which takes two rows or more. */
  static boolean needsTwoRows(NeuralModel model, Settings settings) {
    boolean any =
        model.root().layers().values().stream().anyMatch(layer -> layer instanceof BatchNorm);
    return settings.part != Part.HEAD && any;
  }

  /** The names of what is trained. */
  public List<String> trained() {
    return List.copyOf(trained.keySet());
  }

  /**
   * One step.
   *
   * @param inputs [N, ...]
   * @param labels int64 [N]
   * @return the mean loss of the batch before the step
   * @throws OutriggerException if it is not finite; the weights have not changed then
   */
  public double step(Tensor inputs, Tensor labels) {
    return step(
        () -> CrossEntropy.loss(model.forward(inputs).logits(), labels, settings.labelSmoothing));
  }

  /** A step down a loss of one's own, which is computed anew where steps climb first. */
  double step(Supplier<Tensor> objective) {
    try (PointerScope scope = new PointerScope()) {
      Tensor loss = objective.get();
      double value = finite(loss);
      Map<String, Tensor> gradients = gradients(loss);
      if (settings.rho > 0) {
        gradients = higher(objective, gradients);
      }
      optimiser.step(gradients);
      return value;
    }
  }

  private Map<String, Tensor> higher(Supplier<Tensor> objective, Map<String, Tensor> gradients) {
    Map<String, Tensor> climb = ascent(gradients, settings.rho);
    Map<String, Tensor> kept = new LinkedHashMap<>();
    trained.forEach((name, weight) -> kept.put(name, weight.detach().clone()));
    try {
      move(climb, Tensor::add_);
      Tensor loss = objective.get();
      finite(loss);
      return gradients(loss);
    } finally {
      move(kept, Tensor::copy_);
    }
  }

  /**
   * How far each weight climbs: {@code rho g / (||g|| + 1e-12)} with the norm over all of them.
   *
   * @param gradients by name
   * @return by name, in the enclosing scope
   */
  public static Map<String, Tensor> ascent(Map<String, Tensor> gradients, double rho) {
    Tensor norm =
        torch
            .stack(
                new TensorVector(
                    gradients.values().stream().map(Tensor::norm).toArray(Tensor[]::new)))
            .norm();
    Tensor scale = norm.add(new Scalar(TINY)).reciprocal().mul(new Scalar(rho));
    Map<String, Tensor> climb = new LinkedHashMap<>();
    gradients.forEach((name, gradient) -> climb.put(name, gradient.mul(scale)));
    return climb;
  }

  private interface Move {
    Tensor apply(Tensor weight, Tensor by);
  }

  private void move(Map<String, Tensor> by, Move move) {
    try (AutoGradMode off = new AutoGradMode(false)) {
      trained.forEach((name, weight) -> move.apply(weight, Objects.requireNonNull(by.get(name))));
    }
  }

  private Map<String, Tensor> gradients(Tensor loss) {
    List<String> names = trained();
    List<Tensor> values = Gradients.of(loss, List.copyOf(trained.values()), false);
    Map<String, Tensor> gradients = new LinkedHashMap<>();
    for (int i = 0; i < names.size(); i++) {
      gradients.put(names.get(i), values.get(i));
    }
    return gradients;
  }

  private double finite(Tensor loss) {
    double value = loss.item_double();
    if (!Double.isFinite(value)) {
      throw new OutriggerException(
          "The loss became "
              + value
              + ": lower the learning rate (now "
              + settings.rate
              + "), or look for extreme values in the inputs.");
    }
    return value;
  }

  /** Sets the factor on the learning rate, for schedules. */
  void pace(double factor) {
    optimiser.pace(factor);
  }

  @Override
  public void close() {
    optimiser.close();
    Map<String, Tensor> parameters = model.parameters();
    wasTrainable.forEach(
        (name, on) -> Objects.requireNonNull(parameters.get(name)).requires_grad_(on));
    model.root().eval();
  }
}
