package org.outrigger.core.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.ExtraFilesMap;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.JitModule;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.Value;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.ScriptGraph.Mode;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Torch;

/**
 * A model that was exported from PyTorch with {@code torch.jit.script} or {@code torch.jit.trace}.
 * The graph of its {@code forward} shows the last linear layer, so that features and head are known
 * without help from the exporter; {@link Options} names other places.
 *
 * <p>Features are, in this order: what the options name; the value of a method {@code features} if
 * {@code forward} calls it; the second output of {@code forward}; the input of the last linear
 * layer; a method {@code features} that is run on its own. Features with positions [N, D, H, W] are
 * averaged over them. A softmax at the end is left off, so that logits are logits.
 *
 * <p>Dropout and batch statistics follow {@link #train} in a scripted model; a traced one keeps
 * those of the mode it was traced in.
 */
public final class TorchScriptModel
    implements Model,
        Describable,
        Capabilities.Differentiable,
        Capabilities.Functional,
        Capabilities.HasBatchStatistics,
        Capabilities.Copyable,
        Capabilities.HasLinearHead,
        Capabilities.HasNormLayers,
        Capabilities.Saveable {

  /**
   * Where to look in the model; null means to find it out.
   *
   * @param features {@code method:NAME}, {@code output:INDEX} or {@code output:KEY}, or the path of
   *     an inner layer such as {@code avgpool}
   * @param head the path of the linear layer whose input are the features, such as {@code fc}
   * @param logits which output of forward holds the logits, as an index or a dictionary key
   * @param device where it runs: see {@link Torch#device}
   */
  public record Options(
      @Nullable String features, @Nullable String head, @Nullable String logits, String device) {
    public static Options defaults() {
      return new Options(null, null, null, "cpu");
    }

    public Options withFeatures(String place) {
      return new Options(place, head, logits, device);
    }

    public Options withHead(String path) {
      return new Options(features, path, logits, device);
    }

    public Options withLogits(String output) {
      return new Options(features, head, output, device);
    }

    public Options withDevice(String name) {
      return new Options(features, head, logits, name);
    }

    /** These, with what is not named here taken from a saved model. */
    Options or(Map<String, String> saved) {
      return new Options(
          features == null && head == null ? saved.get("features") : features,
          features == null && head == null ? saved.get("head") : head,
          logits == null ? saved.get("logits") : logits,
          device);
    }

    Map<String, String> named() {
      Map<String, String> named = new TreeMap<>();
      if (features != null) {
        named.put("features", features);
      }
      if (head != null) {
        named.put("head", head);
      }
      if (logits != null) {
        named.put("logits", logits);
      }
      return named;
    }
  }

  private record Key(boolean method, Mode mode, List<String> maps, List<String> lifted) {}

  private final String name;
  private final Options options;
  private final JitModule module;
  private final IValue self;
  private final ScriptGraph forward;
  private final @Nullable ScriptGraph method;
  private final String logitsMark;
  private final @Nullable String featuresMark;
  private final Map<String, String> pointMarks = new LinkedHashMap<>();
  private final List<String> notes = new ArrayList<>();
  private final Map<String, Tensor> parameters;
  private final Map<String, Tensor> buffers;
  private final List<Capabilities.NormLayer> norms;
  private final List<Description.Layer> layers;
  private final @Nullable LinearHead head;
  private final @Nullable Device device;
  private final Map<Key, ScriptProgram> programs = new ConcurrentHashMap<>();
  private volatile int classes;
  private boolean training;
  private volatile boolean closed;

  /** Opens a file and finds out where its features are. */
  public static TorchScriptModel load(Path file) {
    return load(file, Options.defaults());
  }

  /**
   * Opens a file.
   *
   * @throws OutriggerException if it is missing, damaged, no TorchScript, or lacks what the options
   *     name
   */
  public static TorchScriptModel load(Path file, Options options) {
    TorchScriptFile.check(file);
    Options all = options.or(TorchScriptFile.savedOptions(file));
    String name = String.valueOf(file.getFileName());
    return Torch.call(
        file
            + " cannot be read as TorchScript: export it again from Python, with a version of"
            + " PyTorch that is not newer than 2.10.",
        () ->
            Scopes.scoped(
                () -> {
                  Device device = Torch.device(all.device());
                  return new TorchScriptModel(
                      name, torch.load(file.toString(), new DeviceOptional(device), false), all);
                }));
  }

  /** Takes over a module; must be called in a scope, which may close afterwards. */
  private TorchScriptModel(String name, JitModule module, Options options) {
    this.name = name;
    this.options = options;
    this.module = module;
    module.eval();
    self = new IValue(module._ivalue());
    forward = ScriptGraph.of(module, "forward");

    Map<String, Value> outputs = forward.outputs("forward");
    Value logits = logits(outputs);
    Optional<ScriptGraph.Linear> last = forward.linear(logits);
    if (options.head() != null) {
      Map.Entry<Value, ScriptGraph.Linear> named =
          forward
              .linearOf(options.head())
              .orElseThrow(
                  () ->
                      new OutriggerException(
                          "The model "
                              + name
                              + " runs no linear layer called '"
                              + options.head()
                              + "'. Its layers: "
                              + String.join(", ", forward.points().keySet())
                              + "."));
      last = Optional.of(named.getValue());
      if (!named.getKey().equals(logits)) {
        notes.add(
            options.head() + " does not give the logits itself, so it is not offered as the head");
        last = Optional.empty();
      }
      featuresMark =
          options.features() == null
              ? forward.mark(named.getValue().features())
              : place(options.features(), outputs);
      method = null;
    } else if (options.features() != null) {
      String place = options.features();
      method = place.startsWith("method:") ? method(place.substring(7)) : null;
      featuresMark = method == null ? place(place, outputs) : methodMark(method);
    } else {
      Optional<Value> found = features(outputs, logits, last);
      method = found.isEmpty() && hasFeaturesMethod() ? method("features") : null;
      featuresMark = method != null ? methodMark(method) : found.map(forward::mark).orElse(null);
    }
    logitsMark = forward.mark(logits);
    forward.points().forEach((path, value) -> pointMarks.put(path, forward.mark(value)));

    parameters = Modules.parameters(module);
    buffers = Modules.buffers(module);
    norms = List.copyOf(Modules.norms(module));
    layers = Modules.layers(module);
    head =
        last.filter(
                linear -> method == null && forward.mark(linear.features()).equals(featuresMark))
            .map(this::head)
            .orElse(null);
    classes = head == null ? -1 : Math.toIntExact(head.weight().size(0));
    device = options.device().equals("cpu") ? null : Torch.device(options.device());

    module.retainReference();
    self.retainReference();
    forward.retain();
    if (method != null) {
      method.retain();
    }
    if (device != null) {
      device.retainReference();
    }
  }

  private Value logits(Map<String, Value> outputs) {
    String wanted = options.logits();
    String key =
        wanted != null
            ? wanted
            : outputs.containsKey("logits") ? "logits" : outputs.keySet().iterator().next();
    Value logits = outputs.get(key);
    if (logits == null) {
      throw new OutriggerException(
          "The model "
              + name
              + " has no output '"
              + key
              + "'. It has: "
              + String.join(", ", outputs.keySet())
              + ".");
    }
    Optional<Value> before = wanted == null ? forward.beforeSoftmax(logits) : Optional.empty();
    before.ifPresent(value -> notes.add("the softmax at its end is left off"));
    return before.orElse(logits);
  }

  private Optional<Value> features(
      Map<String, Value> outputs, Value logits, Optional<ScriptGraph.Linear> last) {
    Optional<Value> called = forward.called("features");
    if (called.isPresent()) {
      return called;
    }
    Optional<Value> second =
        outputs.containsKey("features")
            ? Optional.of(outputs.get("features"))
            : outputs.containsKey("0") && outputs.containsKey("1")
                ? Optional.of(outputs.get("1"))
                : Optional.empty();
    return second
        .filter(value -> !value.equals(logits))
        .or(() -> last.map(ScriptGraph.Linear::features));
  }

  private boolean hasFeaturesMethod() {
    var found = module.find_method("features");
    return found.has_value() && found.get().num_inputs() == 2;
  }

  private ScriptGraph method(String called) {
    if (!module.find_method(called).has_value()) {
      throw new OutriggerException(
          "The model "
              + name
              + " has no method '"
              + called
              + "': mark it with @torch.jit.export before exporting.");
    }
    return ScriptGraph.of(module, called);
  }

  private static String methodMark(ScriptGraph graph) {
    return graph.mark(graph.outputs("features").values().iterator().next());
  }

  private String place(String place, Map<String, Value> outputs) {
    Map<String, Value> places = forward.points();
    String key = place;
    if (place.startsWith("output:")) {
      places = outputs;
      key = place.substring(7);
    }
    Value value = places.get(key);
    if (value == null) {
      throw new OutriggerException(
          "The model "
              + name
              + " has no feature point '"
              + place
              + "'. It has: "
              + String.join(", ", forward.points().keySet())
              + (outputs.size() > 1 ? ", output:" + String.join(", output:", outputs.keySet()) : "")
              + ".");
    }
    return forward.mark(value);
  }

  private @Nullable LinearHead head(ScriptGraph.Linear linear) {
    Tensor weight = tensor(linear.weight());
    ScriptGraph.Parameter b = linear.bias();
    if (weight.dim() != 2) {
      return null;
    }
    Tensor bias =
        b == null ? torch.zeros(new long[] {weight.size(0)}, weight.options()) : tensor(b);
    return new LinearHead(Scopes.own(weight), Scopes.own(bias));
  }

  private Tensor tensor(ScriptGraph.Parameter parameter) {
    if (parameter.constant() != null) {
      return parameter.constant();
    }
    String path = Objects.requireNonNull(parameter.path());
    Tensor known = parameters.get(path);
    return known != null ? known : Modules.attribute(module, path);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public int classes() {
    return classes;
  }

  @Override
  public Output predict(Tensor inputs, List<String> maps) {
    for (String map : maps) {
      if (!pointMarks.containsKey(map)) {
        throw new OutriggerException(
            "The model "
                + name
                + " has no inner layer '"
                + map
                + "'. It has: "
                + String.join(", ", pointMarks.keySet())
                + ".");
      }
    }
    return run(inputs, List.copyOf(maps), Mode.EVALUATION, Map.of(), false);
  }

  @Override
  public Output forward(Tensor inputs) {
    return run(inputs, List.of(), mode(), Map.of(), true);
  }

  @Override
  public Output forward(Tensor inputs, Map<String, Tensor> weights) {
    weights.forEach(
        (path, weight) -> {
          Tensor own = parameters.containsKey(path) ? parameters.get(path) : buffers.get(path);
          if (own == null || !Arrays.equals(own.shape(), weight.shape())) {
            throw new OutriggerException(
                own == null
                    ? "The model " + name + " has no parameter or buffer '" + path + "'."
                    : "The replacement of "
                        + path
                        + " has shape "
                        + Arrays.toString(weight.shape())
                        + ", but "
                        + Arrays.toString(own.shape())
                        + " is needed.");
          }
        });
    return run(inputs, List.of(), mode(), new TreeMap<>(weights), true);
  }

  @Override
  public Output forwardOnBatchStatistics(Tensor inputs) {
    return run(inputs, List.of(), Mode.BATCH_STATISTICS, Map.of(), true);
  }

  private Mode mode() {
    return training ? Mode.TRAINING : Mode.EVALUATION;
  }

  private Output run(
      Tensor inputs, List<String> maps, Mode mode, Map<String, Tensor> weights, boolean record) {
    if (closed) {
      throw new OutriggerException("The model " + name + " is closed.");
    }
    Shapes.notEmpty("The batch", inputs);
    return Torch.call(
        "The model "
            + name
            + " cannot take inputs of shape "
            + Arrays.toString(inputs.shape())
            + " and type "
            + inputs.scalar_type().intern()
            + ": check the channels, the size and the type that it was exported for.",
        () ->
            Scopes.scoped(
                () -> {
                  try (AutoGradMode gradients = new AutoGradMode(record)) {
                    Tensor batch =
                        device == null || inputs.device().equals(device)
                            ? inputs
                            : inputs.to(device, inputs.scalar_type());
                    return output(batch, maps, mode, weights);
                  }
                }));
  }

  private Output output(Tensor batch, List<String> maps, Mode mode, Map<String, Tensor> weights) {
    List<String> lifted = List.copyOf(weights.keySet());
    List<Tensor> values =
        program(new Key(false, mode, maps, lifted)).run(self, batch, weights.values());
    Tensor logits = values.get(0);
    if (logits.dim() != 2 || logits.size(0) != batch.size(0)) {
      throw new OutriggerException(
          "The model "
              + name
              + " gives an output of shape "
              + Arrays.toString(logits.shape())
              + " for "
              + batch.size(0)
              + " rows, but logits [N, C] are needed: name another output, or export a classifier.");
    }
    classes = Math.toIntExact(logits.size(1));
    Tensor features = null;
    if (method != null) {
      features =
          program(new Key(true, mode, List.of(), lifted)).run(self, batch, weights.values()).get(0);
    } else if (featuresMark != null) {
      features = values.get(1);
    }
    int first = values.size() - maps.size();
    Map<String, Tensor> inner = new LinkedHashMap<>();
    for (String path : pointMarks.keySet()) {
      int at = maps.indexOf(path);
      if (at >= 0) {
        inner.put(path, Scopes.keep(values.get(first + at)));
      }
    }
    return new Output(
        Scopes.keep(logits), features == null ? null : Scopes.keep(pooled(features)), inner);
  }

  private Tensor pooled(Tensor features) {
    if (features.dim() < 2) {
      throw new OutriggerException(
          "The features of "
              + name
              + " have shape "
              + Arrays.toString(features.shape())
              + ", but [N, D] is needed: name another feature point.");
    }
    return features.dim() == 2 ? features : features.flatten(2, -1).mean(2);
  }

  private ScriptProgram program(Key key) {
    return programs.computeIfAbsent(
        key,
        k -> {
          List<String> marks = new ArrayList<>();
          if (k.method()) {
            marks.add(Objects.requireNonNull(featuresMark));
          } else {
            marks.add(logitsMark);
            if (featuresMark != null && method == null) {
              marks.add(featuresMark);
            }
            k.maps().forEach(map -> marks.add(Objects.requireNonNull(pointMarks.get(map))));
          }
          ScriptGraph graph = k.method() ? Objects.requireNonNull(method) : forward;
          return Scopes.scoped(
              () -> new ScriptProgram(graph.program(marks, k.lifted(), k.mode()), "forward"));
        });
  }

  @Override
  public List<String> featurePoints() {
    return List.copyOf(pointMarks.keySet());
  }

  @Override
  public Set<Need> offers() {
    Set<Need> offers = EnumSet.of(Need.LOGITS, Need.INPUT_GRADIENTS);
    if (featuresMark != null) {
      offers.add(Need.FEATURES);
    }
    if (head != null) {
      offers.add(Need.LINEAR_HEAD);
    }
    if (!pointMarks.isEmpty()) {
      offers.add(Need.FEATURE_MAPS);
    }
    if (!parameters.isEmpty()) {
      offers.add(Need.PARAMETER_GRADIENTS);
      offers.add(Need.TRAINING);
    }
    if (!norms.isEmpty()) {
      offers.add(Need.NORM_LAYERS);
    }
    return Collections.unmodifiableSet(offers);
  }

  @Override
  public <T> Optional<T> as(Class<T> capability) {
    if ((capability == Capabilities.HasLinearHead.class && head == null)
        || (capability == Capabilities.HasNormLayers.class && norms.isEmpty())
        || (capability == Capabilities.Functional.class && parameters.isEmpty())) {
      return Optional.empty();
    }
    return Model.super.as(capability);
  }

  @Override
  public LinearHead head() {
    if (head == null) {
      throw new OutriggerException("The model " + name + " shows no last linear layer.");
    }
    return head;
  }

  @Override
  public Map<String, Tensor> parameters() {
    return Collections.unmodifiableMap(parameters);
  }

  @Override
  public Map<String, Tensor> buffers() {
    return Collections.unmodifiableMap(buffers);
  }

  @Override
  public void train(boolean on) {
    training = on;
  }

  @Override
  public List<Capabilities.NormLayer> normLayers() {
    return norms;
  }

  @Override
  public Description describe() {
    return new Description(
        "TorchScript",
        List.of(),
        layers,
        Modules.tensors(parameters, true),
        Modules.tensors(buffers, false),
        List.copyOf(notes));
  }

  /** A copy with weights of its own, in the same mode. */
  @Override
  public TorchScriptModel deepCopy() {
    return Torch.call(
        "The model " + name + " cannot be copied.",
        () ->
            Scopes.scoped(
                () -> {
                  try (AutoGradMode off = new AutoGradMode(false)) {
                    TorchScriptModel copy = new TorchScriptModel(name, module.deepcopy(), options);
                    copy.parameters.forEach(
                        (path, p) ->
                            p.requires_grad_(
                                Objects.requireNonNull(parameters.get(path)).requires_grad()));
                    copy.training = training;
                    return copy;
                  }
                }));
  }

  @Override
  public String fileExtension() {
    return "pt";
  }

  /**
   * Writes the model with its present weights, so that Outrigger and PyTorch can open it. What the
   * options named is kept in the file.
   *
   * @throws OutriggerException if the file cannot be written; a file that was there is left alone
   */
  @Override
  public void save(Path file) {
    Path whole = file.toAbsolutePath();
    Path part = whole.resolveSibling("." + whole.getFileName() + ".part");
    try {
      Torch.run(
          "The model " + name + " cannot be written to " + file + ": check folder and space.",
          () ->
              Scopes.run(
                  () -> {
                    ExtraFilesMap extra = new ExtraFilesMap();
                    if (!options.named().isEmpty()) {
                      extra.put(
                          new BytePointer(TorchScriptFile.OPTIONS),
                          TorchScriptFile.written(options.named()));
                    }
                    module.save(part.toString(), extra);
                  }));
      Files.move(part, whole, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new OutriggerException(
          "The model " + name + " cannot be written to " + file + ": " + e.getMessage(), e);
    } finally {
      try {
        Files.deleteIfExists(part);
      } catch (IOException e) {
        part.toFile().deleteOnExit();
      }
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    programs.values().forEach(ScriptProgram::close);
    forward.release();
    if (method != null) {
      method.release();
    }
    parameters.values().forEach(Scopes::release);
    buffers.values().forEach(Scopes::release);
    norms.forEach(Modules::release);
    if (head != null) {
      Scopes.release(head.weight());
      Scopes.release(head.bias());
    }
    if (device != null) {
      device.releaseReference();
    }
    self.releaseReference();
    module.releaseReference();
  }
}
