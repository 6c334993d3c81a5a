package org.outrigger.core.model;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.method.Need;
import org.outrigger.core.nn.Affine;
import org.outrigger.core.nn.BottleneckHead;
import org.outrigger.core.nn.Dropout;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Normalisation;
import org.outrigger.core.nn.TemperatureHead;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;
import org.outrigger.core.zoo.Architecture;
import org.outrigger.core.zoo.Network;
import org.outrigger.core.zoo.Zoo;

/**
 * A network of {@link Layer}s whose last layer, the head, is known by its path: a linear one, or
 * what has replaced it. Its features are the head's input. Predicting always runs in evaluation
 * mode and without gradients, whatever mode the layers are in, and is safe for concurrent use.
 */
public final class NeuralModel
    implements Model,
        Describable,
        Capabilities.HasLinearHead,
        Capabilities.HasLastLayer,
        Capabilities.HasNegatedHead,
        Capabilities.Differentiable,
        Capabilities.Functional,
        Capabilities.HasBatchStatistics,
        Capabilities.Copyable,
        Capabilities.HasGenerators,
        Capabilities.HasNormLayers,
        Capabilities.Saveable {
  private static final String FORMAT = "outrigger-network";
  private static final int VERSION = 1;
  private static final String REPLACED = "replaced";
  private static final String FEATURES = "the input of the head";

  /** What the path of a head that says no has more than that of the head beside it. */
  private static final String NEGATED = "_no";

  private final String name;
  private final Layer root;
  private final String headPath;
  private final long[] inputShape;
  private final int classes;
  private final List<String> classNames;
  private final @Nullable Architecture architecture;

  private NeuralModel(
      String name,
      Layer root,
      String headPath,
      long[] inputShape,
      int classes,
      List<String> classNames,
      @Nullable Architecture architecture) {
    if (!classNames.isEmpty() && classNames.size() != classes) {
      throw new OutriggerException(
          "There are " + classNames.size() + " class names for " + classes + " classes.");
    }
    this.name = name;
    this.root = root;
    this.headPath = headPath;
    this.inputShape = inputShape.clone();
    this.classes = classes;
    this.classNames = List.copyOf(classNames);
    this.architecture = architecture;
  }

  /**
   * A network of one's own; it cannot be saved with {@link #save}, as only the zoo's can be built
   * again. The model owns {@code root} from then on.
   *
   * @param name what it is called in reports
   * @param headPath the path of its last layer, a {@link Linear}
   * @param inputShape of one row, [C, H, W] or [D]; a 0 takes any size in that place
   * @param classNames by label, or empty
   */
  public static NeuralModel of(
      String name, Layer root, String headPath, long[] inputShape, List<String> classNames) {
    if (!(root.get(headPath) instanceof Affine head)) {
      throw new OutriggerException(
          "The head '" + headPath + "' is a " + root.get(headPath) + ", not a linear layer.");
    }
    return new NeuralModel(
        name, root, headPath, inputShape, Math.toIntExact(head.out()), classNames, null);
  }

  /** A network that the zoo made; the model owns it from then on. */
  public static NeuralModel of(Network network, List<String> classNames) {
    Architecture architecture = network.architecture();
    return new NeuralModel(
        architecture.name(),
        network.root(),
        network.head(),
        architecture.shape(),
        architecture.classes(),
        classNames,
        architecture);
  }

  /**
   * A network from the zoo with drawn weights.
   *
   * @param architecture a name from {@link Zoo#names()}
   * @param settings what differs from the defaults
   * @param inputShape of one row: [C, H, W] or [D]
   * @param classes the number of classes
   * @param seed of the weights
   */
  public static NeuralModel create(
      String architecture, Map<String, ?> settings, long[] inputShape, int classes, long seed) {
    return of(Zoo.create(architecture, settings, inputShape, classes, seed), List.of());
  }

  /** The same model with names for its classes; both share the layers, so close one of them. */
  public NeuralModel named(List<String> names) {
    return new NeuralModel(name, root, headPath, inputShape, classes, names, architecture);
  }

  @Override
  public String name() {
    return name;
  }

  /** The layers: to inspect, freeze, hook or replace. */
  public Layer root() {
    return root;
  }

  /** The path of the last layer, the head; inside a {@link BottleneckHead} its classifier. */
  public String headPath() {
    return root.get(headPath) instanceof BottleneckHead
        ? headPath + "." + BottleneckHead.CLASSIFIER
        : headPath;
  }

  /** The shape of one input row: [C, H, W] or [D]; 0 where any size will do. */
  public long[] inputShape() {
    return inputShape.clone();
  }

  @Override
  public int classes() {
    return classes;
  }

  /** The names of the classes by label; empty if unnamed. */
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public List<String> featurePoints() {
    return List.copyOf(root.layers().keySet());
  }

  @Override
  public Set<Need> offers() {
    Set<Need> offers =
        EnumSet.of(
            Need.LOGITS,
            Need.FEATURES,
            Need.FEATURE_MAPS,
            Need.INPUT_GRADIENTS,
            Need.PARAMETER_GRADIENTS,
            Need.SWAPPABLE_LAYERS,
            Need.TRAINING);
    if (lastLayer() instanceof Affine) {
      offers.add(Need.LINEAR_HEAD);
    } else if (root.get(headPath) instanceof TemperatureHead) {
      offers.add(Need.LEARNED_TEMPERATURE);
    }
    if (hasNegatedHead()) {
      offers.add(Need.NEGATED_HEAD);
    }
    if (!normLayers().isEmpty()) {
      offers.add(Need.NORM_LAYERS);
    }
    if (dropouts().values().stream().anyMatch(layer -> layer.p() > 0)) {
      offers.add(Need.DROPOUT);
    }
    if (as(Capabilities.HasModalities.class).isPresent()) {
      offers.add(Need.MODALITIES);
    }
    return offers;
  }

  /** Its own capabilities and those of its root layer; a last layer may be no linear head. */
  @Override
  public <T> Optional<T> as(Class<T> capability) {
    if (capability == Capabilities.HasLinearHead.class && !(lastLayer() instanceof Affine)) {
      return Optional.empty();
    }
    if (capability == Capabilities.HasNegatedHead.class && !hasNegatedHead()) {
      return Optional.empty();
    }
    Object owner = capability.isInstance(this) ? this : root;
    return capability.isInstance(owner) ? Optional.of(capability.cast(owner)) : Optional.empty();
  }

  @Override
  public Output predict(Tensor inputs, List<String> maps) {
    check(inputs);
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      Output output = run(inputs, ForwardContext.EVALUATION, maps);
      Scopes.keep(output.logits());
      if (output.hasFeatures()) {
        Scopes.keep(output.features());
      }
      output.maps().values().forEach(Scopes::keep);
      return output;
    }
  }

  @Override
  public Output forward(Tensor inputs) {
    check(inputs);
    return run(inputs, ForwardContext.AS_IS, List.of());
  }

  @Override
  public Output forward(Tensor inputs, Map<String, Tensor> weights) {
    check(inputs);
    return run(inputs, ForwardContext.AS_IS.weights(root, weights), List.of());
  }

  @Override
  public Output forwardOnBatchStatistics(Tensor inputs) {
    check(inputs);
    return run(inputs, ForwardContext.BATCH_STATISTICS, List.of());
  }

  /**
   * A forward pass in a context of one's own: with replaced weights, in a mode, and with the
   * outputs of chosen layers. Tensors belong to the enclosing scope.
   */
  public Output forward(Tensor inputs, ForwardContext context, List<String> maps) {
    check(inputs);
    return run(inputs, context, maps);
  }

  private Output run(Tensor inputs, ForwardContext wanted, List<String> maps) {
    Torch.start();
    ForwardContext context = wanted.watchInput(FEATURES, lastLayer());
    for (String map : maps) {
      context = context.watchOutput(map, root.get(map));
    }
    ForwardContext watching = context;
    try {
      Tensor logits = root.forward(inputs, watching);
      Tensor features = watching.take(FEATURES);
      Map<String, Tensor> taken = new LinkedHashMap<>();
      for (String map : ordered(maps)) {
        Tensor value = watching.take(map);
        if (value == null) {
          throw new OutriggerException(
              "The layer '" + map + "' of " + name + " does not run on its own: name another.");
        }
        taken.put(map, value);
      }
      return new Output(logits, features == null ? null : flat(features), taken);
    } catch (OutriggerException e) {
      throw e;
    } catch (RuntimeException e) {
      throw Torch.failure(
          "The model "
              + name
              + " could not be run on inputs of shape "
              + Arrays.toString(inputs.shape())
              + ".",
          e);
    } finally {
      watching.discard();
    }
  }

  private Collection<String> ordered(List<String> maps) {
    if (maps.size() < 2) {
      return maps;
    }
    List<String> order = new ArrayList<>(root.layers().keySet());
    order.retainAll(maps);
    return order;
  }

  private static Tensor flat(Tensor features) {
    if (features.dim() <= 2) {
      return features;
    }
    Tensor flat = features.flatten(1, -1);
    features.close();
    return flat;
  }

  private void check(Tensor inputs) {
    long[] shape = inputs.shape();
    boolean fits = shape.length == inputShape.length + 1 && shape[0] > 0;
    for (int i = 0; fits && i < inputShape.length; i++) {
      fits = inputShape[i] == 0 || inputShape[i] == shape[i + 1];
    }
    if (!fits) {
      throw misfit(shape);
    }
  }

  private OutriggerException misfit(long[] shape) {
    StringBuilder wanted = new StringBuilder("[N");
    for (long size : inputShape) {
      wanted.append(", ").append(size == 0 ? "any" : size);
    }
    String why = "";
    if (shape.length == inputShape.length + 1 && shape[0] == 0) {
      why = ": the batch is empty";
    } else if (shape.length == 4
        && inputShape.length == 3
        && inputShape[0] != 0
        && shape[1] != inputShape[0]) {
      why = ": it has " + shape[1] + " channels instead of " + inputShape[0];
    } else if (shape.length == 4 && inputShape.length == 3) {
      why = ": resize the images";
    } else if (shape.length == 2 && inputShape.length == 1) {
      why = ": rows have " + shape[1] + " values instead of " + inputShape[0];
    }
    return new OutriggerException(
        "The model "
            + name
            + " takes inputs of shape "
            + wanted
            + "], but this batch has shape "
            + Arrays.toString(shape)
            + why
            + ".");
  }

  @Override
  public LinearHead head() {
    if (!(lastLayer() instanceof Affine)) {
      throw new OutriggerException(
          "The head '"
              + headPath
              + "' of "
              + name
              + " has been replaced by "
              + root.get(headPath)
              + ", which is not a linear layer.");
    }
    return head(lastLayer());
  }

  private static LinearHead head(Layer head) {
    Tensor weight = ((Affine) head).matrix();
    Tensor bias =
        head.has("bias")
            ? head.tensor("bias")
            : torch.zeros(new long[] {weight.size(0)}, weight.options());
    return new LinearHead(weight, bias);
  }

  private boolean hasNegatedHead() {
    return root.layers().get(headPath + NEGATED) instanceof Linear;
  }

  @Override
  public LinearHead negatedHead() {
    if (!(root.layers().get(headPath + NEGATED) instanceof Linear head)) {
      throw new OutriggerException(
          "The model "
              + name
              + " has no class weights that say no: build it with those of a CLIPN text tower.");
    }
    return head(head);
  }

  @Override
  public Layer lastLayer() {
    return root.get(headPath());
  }

  @Override
  public Map<String, Tensor> parameters() {
    return root.parameters();
  }

  @Override
  public Map<String, Tensor> buffers() {
    return root.buffers();
  }

  @Override
  public void train(boolean training) {
    root.train(training);
  }

  @Override
  public Map<String, Rng> generators() {
    Map<String, Rng> generators = new LinkedHashMap<>();
    dropouts().forEach((path, layer) -> generators.put(path, layer.rng()));
    return generators;
  }

  private Map<String, Dropout> dropouts() {
    Map<String, Dropout> dropouts = new LinkedHashMap<>();
    root.layers()
        .forEach(
            (path, layer) -> {
              if (layer instanceof Dropout dropout) {
                dropouts.put(path, dropout);
              }
            });
    return dropouts;
  }

  @Override
  public List<Capabilities.NormLayer> normLayers() {
    List<Capabilities.NormLayer> norms = new ArrayList<>();
    root.layers()
        .forEach(
            (path, layer) -> {
              if (layer instanceof Normalisation) {
                norms.add(
                    new Capabilities.NormLayer(
                        path,
                        layer.getClass().getSimpleName(),
                        part(layer, "weight"),
                        part(layer, "bias"),
                        part(layer, "running_mean"),
                        part(layer, "running_var")));
              }
            });
    return norms;
  }

  private static @Nullable Tensor part(Layer layer, String tensor) {
    return layer.has(tensor) ? layer.tensor(tensor) : null;
  }

  @Override
  public Description describe() {
    List<Description.Layer> layers = new ArrayList<>();
    root.layers()
        .forEach(
            (path, layer) -> {
              long inner =
                  layer.children().values().stream().mapToLong(Layer::parameterCount).sum();
              layers.add(
                  new Description.Layer(path, layer.toString(), layer.parameterCount() - inner));
            });
    return new Description(
        architecture == null ? "network" : "network " + architecture.name(),
        Arrays.stream(inputShape).boxed().toList(),
        layers,
        Modules.tensors(root.parameters(), true),
        Modules.tensors(root.buffers(), false),
        List.of());
  }

  @Override
  public NeuralModel deepCopy() {
    return new NeuralModel(
        name, root.deepCopy(), headPath, inputShape, classes, classNames, architecture);
  }

  /**
   * Copies weights in by name. Names of other PyTorch code are understood where they are only
   * spelled differently; see {@link Zoo#canonical}.
   *
   * @param strict whether missing and unexpected names are errors
   */
  public void loadStateDict(Map<String, Tensor> state, boolean strict) {
    root.loadStateDict(Zoo.canonical(root, state), strict);
  }

  /** Copies the weights of a safetensors file in, such as one saved by PyTorch. */
  public void loadWeights(Path file, boolean strict) {
    Scopes.run(() -> loadStateDict(Safetensors.read(file), strict));
  }

  /** How to build this model again, as JSON-able values; empty if it was not made by the zoo. */
  public Map<String, Object> architecture() {
    if (architecture == null) {
      return Map.of();
    }
    Map<String, Object> map = new LinkedHashMap<>(architecture.toMap());
    map.put("classNames", classNames);
    ReplacedLayers replaced = ReplacedLayers.of(root);
    if (!replaced.entries().isEmpty()) {
      map.put(REPLACED, replaced.toList());
    }
    return map;
  }

  @Override
  public String fileExtension() {
    return "safetensors";
  }

  /**
   * Writes weights, architecture and which parameters are frozen as one safetensors file.
   *
   * @throws OutriggerException if this is not a network as the zoo builds it, but for layers that
   *     are {@link org.outrigger.core.nn.Rebuildable}
   */
  @Override
  public void save(Path file) {
    if (architecture == null) {
      throw new OutriggerException(
          "The model "
              + name
              + " cannot be saved as it was not made from a name of the zoo: save its state dict"
              + " instead.");
    }
    requireRebuildable(architecture);
    Safetensors.write(
        file,
        root.stateDict(),
        Map.of(
            "format",
            FORMAT,
            "version",
            String.valueOf(VERSION),
            "architecture",
            Json.compact(architecture()),
            "frozen",
            String.join(" ", frozen())));
  }

  private List<String> frozen() {
    List<String> names = new ArrayList<>(root.parameters().keySet());
    names.removeAll(root.trainable().keySet());
    return names;
  }

  private void requireRebuildable(Architecture plan) {
    Network fresh = Zoo.create(plan, 0);
    try (Layer rebuilt = fresh.root()) {
      ReplacedLayers.of(root).into(rebuilt);
      if (!signature(rebuilt).equals(signature(root))) {
        throw new OutriggerException(
            "The model "
                + name
                + " cannot be saved: some of its layers have been replaced. Put them back, or save"
                + " its state dict.");
      }
    }
  }

  private static List<String> signature(Layer root) {
    List<String> signature = new ArrayList<>();
    root.layers().forEach((path, layer) -> signature.add(path + " " + layer));
    return signature;
  }

  /**
   * Reads a model that {@link #save} wrote.
   *
   * @throws OutriggerException if the file is damaged, of a newer version, or holds bare weights
   */
  public static NeuralModel load(Path file) {
    Map<String, String> metadata;
    try (Safetensors view = Safetensors.open(file)) {
      metadata = view.metadata();
    }
    String description = metadata.get("architecture");
    if (description == null) {
      throw new OutriggerException(
          file
              + " holds bare weights without an architecture: name the architecture that they"
              + " belong to ("
              + String.join(", ", Zoo.names())
              + ").");
    }
    String version = metadata.getOrDefault("version", "");
    if (!version.matches("\\d{1,6}") || Integer.parseInt(version) > VERSION) {
      throw new OutriggerException(
          file
              + " has layout version '"
              + version
              + "', but this Outrigger knows up to "
              + VERSION
              + ": update Outrigger.");
    }
    Map<String, Object> map = Json.object(file + "'s architecture", description);
    List<String> names = new ArrayList<>();
    if (map.get("classNames") instanceof List<?> list) {
      list.forEach(item -> names.add(String.valueOf(item)));
    }
    NeuralModel model = of(Zoo.create(Architecture.of(map), 0), names);
    return filled(
        model,
        () -> {
          ReplacedLayers.read(map.get(REPLACED)).into(model.root);
          model.restore(file, metadata.getOrDefault("frozen", ""));
        });
  }

  /** Takes over weights in the type they were saved in, and what was frozen. */
  private void restore(Path file, String frozen) {
    Scopes.run(
        () -> {
          Map<String, Tensor> state = Safetensors.read(file);
          state.entrySet().stream()
              .filter(entry -> entry.getKey().startsWith(headPath + "."))
              .map(Map.Entry::getValue)
              .filter(Tensor::is_floating_point)
              .findFirst()
              .ifPresent(weight -> root.to(weight.scalar_type().intern()));
          loadStateDict(state, true);
        });
    Map<String, Tensor> parameters = root.parameters();
    for (String name : frozen.split(" ", -1)) {
      Tensor parameter = parameters.get(name);
      if (parameter != null) {
        parameter.requires_grad_(false);
      }
    }
  }

  /**
   * A network of the zoo with weights from a safetensors file that PyTorch wrote.
   *
   * @param architecture a name from {@link Zoo#names()}
   */
  public static NeuralModel load(
      Path file,
      String architecture,
      Map<String, ?> settings,
      long[] inputShape,
      int classes,
      List<String> classNames) {
    NeuralModel model = of(Zoo.create(architecture, settings, inputShape, classes, 0), classNames);
    return filled(model, () -> model.loadWeights(file, true));
  }

  private static NeuralModel filled(NeuralModel model, Runnable load) {
    try {
      load.run();
      return model;
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  @Override
  public void close() {
    root.close();
  }

  @Override
  public String toString() {
    return name + "\n" + root.describe();
  }
}
