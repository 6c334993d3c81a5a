package org.outrigger.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import com.google.protobuf.InvalidProtocolBufferException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Describable;
import org.outrigger.core.model.Description;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Torch;

/**
 * A model that runs in ONNX Runtime: for predicting only, without gradients. The graph shows the
 * last linear layer (Gemm, or MatMul and Add), so that features and head are known without help
 * from the exporter; any inner value can be given too. A softmax at the end is left off, so that
 * logits are logits. Features with positions [N, D, H, W] are averaged over them.
 *
 * <p>A model whose batch size is fixed is run as often as it takes, the last time with repeated
 * rows.
 */
public final class OnnxModel
    implements Model, Describable, Capabilities.HasLinearHead, Capabilities.Saveable {
  /** Protocol buffers hold no more. */
  private static final long MAX_BYTES = Integer.MAX_VALUE - 1024L;

  private static final String SAVED = "outrigger.";
  private static final Set<TensorProto.DataType> FLOATS =
      Set.of(TensorProto.DataType.FLOAT, TensorProto.DataType.DOUBLE, TensorProto.DataType.FLOAT16);

  /**
   * Where to look in the model; null means to find it out.
   *
   * @param input the input that takes the batch; by default the first of floats
   * @param logits the output that holds the logits; by default one called so, or the first of
   *     floats
   * @param features the output or inner value that holds the features
   * @param head the linear layer whose input are the features: the name of its node, of its weight
   *     (with or without {@code .weight}) or of its result
   * @param threads for one operation; 0 for all cores
   * @param device {@code cpu}, or {@code cuda} with a runtime that has it
   */
  public record Options(
      @Nullable String input,
      @Nullable String logits,
      @Nullable String features,
      @Nullable String head,
      int threads,
      String device) {
    public Options {
      HyperParameter.atLeast("threads", threads, 0);
    }

    public static Options defaults() {
      return new Options(null, null, null, null, 0, "cpu");
    }

    public Options withInput(String name) {
      return new Options(name, logits, features, head, threads, device);
    }

    public Options withLogits(String name) {
      return new Options(input, name, features, head, threads, device);
    }

    public Options withFeatures(String name) {
      return new Options(input, logits, name, head, threads, device);
    }

    public Options withHead(String name) {
      return new Options(input, logits, features, name, threads, device);
    }

    public Options withThreads(int count) {
      return new Options(input, logits, features, head, count, device);
    }

    private Options or(Map<String, String> saved) {
      boolean none = features == null && head == null;
      return new Options(
          input == null ? saved.get("input") : input,
          logits == null ? saved.get("logits") : logits,
          none ? saved.get("features") : features,
          none ? saved.get("head") : head,
          threads,
          device);
    }

    private Map<String, String> named() {
      Map<String, @Nullable String> all = new TreeMap<>();
      all.put("input", input);
      all.put("logits", logits);
      all.put("features", features);
      all.put("head", head);
      Map<String, String> named = new TreeMap<>();
      all.forEach(
          (key, value) -> {
            if (value != null) {
              named.put(key, value);
            }
          });
      return named;
    }
  }

  private final String name;
  private final Path folder;
  private final ModelProto proto;
  private final OnnxGraph graph;
  private final Options options;
  private final String input;
  private final ScalarType inputType;
  private final long @Nullable [] inputShape;
  private final String logits;
  private final @Nullable String features;
  private final @Nullable LinearHead head;
  private final List<String> notes = new ArrayList<>();
  private final Map<List<String>, OrtSession> sessions = new ConcurrentHashMap<>();
  private volatile int classes;
  private volatile boolean closed;

  /** Opens a file and finds out where its features are. */
  public static OnnxModel load(Path file) {
    return load(file, Options.defaults());
  }

  /**
   * Opens a file.
   *
   * @throws OutriggerException if it is missing, damaged, needs what this runtime lacks, or lacks
   *     what the options name
   */
  public static OnnxModel load(Path file, Options options) {
    return Torch.call(
        file + " cannot be opened.",
        () -> Scopes.scoped(() -> new OnnxModel(file, parse(file), options)));
  }

  private static ModelProto parse(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException("There is no file " + file + ": check the path of the model.");
    }
    try {
      long size = Files.size(file);
      if (size > MAX_BYTES) {
        throw new OutriggerException(
            file + " is larger than 2 GB: export it with external data instead.");
      }
      ModelProto model = ModelProto.parseFrom(Files.readAllBytes(file));
      if (model.getGraph().getNodeCount() == 0) {
        throw new OutriggerException(
            file
                + (size == 0 ? " is empty" : " holds no ONNX graph")
                + ": export the model again, such as with torch.onnx.export.");
      }
      return model;
    } catch (InvalidProtocolBufferException e) {
      throw new OutriggerException(
          file + " is damaged or no ONNX file: copy it again, or export it again.", e);
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private OnnxModel(Path file, ModelProto proto, Options given) {
    this.name = String.valueOf(file.getFileName());
    this.folder = Optional.ofNullable(file.toAbsolutePath().getParent()).orElse(file);
    this.proto = proto;
    this.graph = new OnnxGraph(proto);
    Map<String, String> saved =
        proto.getMetadataPropsList().stream()
            .filter(entry -> entry.getKey().startsWith(SAVED))
            .collect(
                Collectors.toMap(
                    entry -> entry.getKey().substring(SAVED.length()),
                    StringStringEntryProto::getValue,
                    (first, second) -> second));
    this.options = given.or(saved);
    for (TensorProto stored : graph.stored()) {
      if (stored.getDataLocation() == TensorProto.DataLocation.EXTERNAL) {
        stored.getExternalDataList().stream()
            .filter(entry -> entry.getKey().equals("location"))
            .forEach(entry -> OnnxTensors.beside(folder, entry.getValue()));
      }
    }
    ValueInfoProto batch = pickInput();
    this.input = batch.getName();
    this.inputType = OnnxTensors.torchType(OnnxGraph.type(batch));
    this.inputShape = OnnxGraph.shape(batch);
    this.logits = pickLogits();
    Optional<OnnxGraph.Linear> last = graph.linear(logits);
    if (options.head() != null) {
      OnnxGraph.Linear named = graph.linearOf(options.head());
      last = Optional.of(named);
    }
    this.features =
        options.features() != null
            ? existing(options.features())
            : last.map(OnnxGraph.Linear::features).filter(graph::computes).orElse(null);
    this.head =
        last.filter(l -> l.features().equals(features) && l.logits().equals(logits))
            .map(this::head)
            .orElse(null);
    this.classes = head == null ? -1 : Math.toIntExact(head.weight().size(0));
    try {
      session(List.of());
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private ValueInfoProto pickInput() {
    List<ValueInfoProto> inputs = graph.inputs();
    String wanted = options.input();
    List<ValueInfoProto> fitting =
        inputs.stream()
            .filter(
                i ->
                    wanted == null
                        ? FLOATS.contains(OnnxGraph.type(i))
                        : i.getName().equals(wanted))
            .toList();
    String names = inputs.stream().map(ValueInfoProto::getName).collect(Collectors.joining(", "));
    if (fitting.isEmpty()) {
      throw new OutriggerException(
          "The model "
              + name
              + (wanted == null ? " has no input of floats" : " has no input '" + wanted + "'")
              + ". Its inputs: "
              + names
              + ".");
    }
    if (inputs.size() > 1) {
      throw new OutriggerException(
          "The model "
              + name
              + " takes "
              + inputs.size()
              + " inputs ("
              + names
              + "), but one batch of inputs is all that is given: export a model with one input.");
    }
    return fitting.get(0);
  }

  private String pickLogits() {
    String wanted = options.logits();
    if (wanted != null) {
      return existing(wanted);
    }
    List<String> floats =
        graph.outputs().stream()
            .filter(output -> FLOATS.contains(OnnxGraph.type(output)))
            .map(ValueInfoProto::getName)
            .toList();
    if (floats.isEmpty()) {
      throw new OutriggerException(
          "The model "
              + name
              + " gives no tensor of floats: name the value that holds the logits. Inner values: "
              + String.join(", ", graph.points())
              + ".");
    }
    String chosen = floats.contains("logits") ? "logits" : floats.get(0);
    Optional<String> before = graph.beforeSoftmax(chosen);
    before.ifPresent(value -> notes.add("the softmax at its end is left off"));
    return before.orElse(chosen);
  }

  private String existing(String value) {
    if (!graph.computes(value)) {
      throw new OutriggerException(
          "The model "
              + name
              + " computes no value '"
              + value
              + "'. Some that it does: "
              + String.join(", ", graph.points())
              + ".");
    }
    return value;
  }

  private LinearHead head(OnnxGraph.Linear linear) {
    Tensor stored = OnnxTensors.read(linear.weight(), folder).to(ScalarType.Float);
    Tensor weight = linear.transposed() ? stored.t().contiguous() : stored;
    TensorProto shift = linear.bias();
    Tensor bias =
        shift == null
            ? torch.zeros(new long[] {weight.size(0)}, weight.options())
            : OnnxTensors.read(shift, folder).to(ScalarType.Float).flatten();
    return new LinearHead(Scopes.own(weight), Scopes.own(bias));
  }

  /** The session that gives logits, features and the inner values {@code maps}. */
  private OrtSession session(List<String> maps) {
    return sessions.computeIfAbsent(
        maps,
        wanted -> {
          Set<String> values = new LinkedHashSet<>();
          values.add(logits);
          if (features != null) {
            values.add(features);
          }
          values.addAll(wanted);
          try (OrtSession.SessionOptions settings = new OrtSession.SessionOptions()) {
            if (options.threads() > 0) {
              settings.setIntraOpNumThreads(options.threads());
            }
            settings.addConfigEntry(
                "session.model_external_initializers_file_folder_path", folder.toString());
            if (options.device().startsWith("cuda")) {
              settings.addCUDA();
            }
            return OrtEnvironment.getEnvironment()
                .createSession(graph.giving(List.copyOf(values)).toByteArray(), settings);
          } catch (OrtException e) {
            throw failure(
                "ONNX Runtime cannot load the model "
                    + name
                    + ": it may be damaged, or use operations of a newer version.",
                e);
          }
        });
  }

  private static OutriggerException failure(String what, OrtException e) {
    return new OutriggerException(what + "\n" + e.getMessage(), e);
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
  public List<String> featurePoints() {
    return graph.points();
  }

  @Override
  public Set<Need> offers() {
    Set<Need> offers = EnumSet.of(Need.LOGITS);
    if (features != null) {
      offers.add(Need.FEATURES);
    }
    if (head != null) {
      offers.add(Need.LINEAR_HEAD);
    }
    if (!graph.points().isEmpty()) {
      offers.add(Need.FEATURE_MAPS);
    }
    return Collections.unmodifiableSet(offers);
  }

  @Override
  public <T> Optional<T> as(Class<T> capability) {
    return capability == Capabilities.HasLinearHead.class && head == null
        ? Optional.empty()
        : Model.super.as(capability);
  }

  @Override
  public LinearHead head() {
    if (head == null) {
      throw new OutriggerException("The model " + name + " shows no last linear layer.");
    }
    return head;
  }

  @Override
  public Output predict(Tensor inputs, List<String> maps) {
    if (closed) {
      throw new OutriggerException("The model " + name + " is closed.");
    }
    Shapes.notEmpty("The batch", inputs);
    checkShape(inputs.shape());
    List<String> points = graph.points();
    for (String map : maps) {
      if (!points.contains(map)) {
        throw new OutriggerException(
            "The model "
                + name
                + " has no inner value '"
                + map
                + "'. It has: "
                + String.join(", ", points)
                + ".");
      }
    }
    List<String> wanted = points.stream().filter(maps::contains).distinct().toList();
    return Scopes.scoped(() -> output(inputs, wanted));
  }

  private void checkShape(long[] shape) {
    long[] wanted = inputShape;
    if (wanted == null) {
      return;
    }
    boolean fits = wanted.length == shape.length;
    for (int i = 1; fits && i < wanted.length; i++) {
      fits = wanted[i] == 0 || wanted[i] == shape[i];
    }
    if (!fits) {
      throw new OutriggerException(
          "The model "
              + name
              + " takes inputs of shape ["
              + Arrays.stream(wanted)
                  .skip(1)
                  .mapToObj(size -> ", " + (size == 0 ? "any" : size))
                  .collect(Collectors.joining("", "N", "]"))
              + ", but this batch has shape "
              + Arrays.toString(shape)
              + ".");
    }
  }

  private Output output(Tensor inputs, List<String> maps) {
    OrtSession session = session(maps);
    Tensor batch = inputs.detach().cpu().to(inputType).contiguous();
    long rows = batch.size(0);
    long fixed = inputShape == null || inputShape.length == 0 ? 0 : inputShape[0];
    List<Map<String, Tensor>> parts = new ArrayList<>();
    if (fixed == 0 || fixed == rows) {
      parts.add(run(session, batch));
    } else {
      for (long start = 0; start < rows; start += fixed) {
        long count = Math.min(fixed, rows - start);
        Tensor part = batch.narrow(0, start, count);
        if (count < fixed) {
          Tensor last = batch.narrow(0, rows - 1, 1);
          List<Tensor> padded = new ArrayList<>(List.of(part));
          padded.addAll(Collections.nCopies(Math.toIntExact(fixed - count), last));
          part = torch.cat(new TensorVector(padded.toArray(new Tensor[0])), 0);
        }
        Map<String, Tensor> values = run(session, part.contiguous());
        values.replaceAll((key, value) -> value.narrow(0, 0, count));
        parts.add(values);
      }
    }
    Tensor scores = joined(parts, logits);
    if (scores.dim() != 2) {
      throw new OutriggerException(
          "The value "
              + logits
              + " of "
              + name
              + " has shape "
              + Arrays.toString(scores.shape())
              + ", but logits [N, C] are needed: name another output, or export a classifier.");
    }
    classes = Math.toIntExact(scores.size(1));
    Tensor inner = features == null ? null : pooled(joined(parts, features));
    Map<String, Tensor> given = new LinkedHashMap<>();
    maps.forEach(map -> given.put(map, Scopes.keep(new Tensor(joined(parts, map)))));
    return new Output(
        Scopes.keep(new Tensor(scores)),
        inner == null ? null : Scopes.keep(new Tensor(inner)),
        given);
  }

  private Map<String, Tensor> run(OrtSession session, Tensor batch) {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    Map<String, Tensor> values = new LinkedHashMap<>();
    Map<String, OnnxTensor> pinned = new LinkedHashMap<>();
    Set<String> others = new LinkedHashSet<>();
    try (OnnxTensor in = OnnxTensors.view(environment, batch)) {
      for (Map.Entry<String, NodeInfo> entry : session.getOutputInfo().entrySet()) {
        long[] shape = knownShape(entry.getValue(), batch.size(0));
        if (shape == null) {
          others.add(entry.getKey());
          continue;
        }
        // Its size is known, so that the runtime writes straight into the tensor.
        TensorInfo info = (TensorInfo) entry.getValue().getInfo();
        Tensor value =
            torch.empty(shape, new TensorOptions(OnnxTensors.torchType(info.type)), null);
        values.put(entry.getKey(), value);
        pinned.put(entry.getKey(), OnnxTensors.view(environment, value));
      }
      try (OrtSession.Result result = session.run(Map.of(input, in), others, pinned)) {
        for (String other : others) {
          values.put(other, OnnxTensors.copy((OnnxTensor) result.get(other).orElseThrow()));
        }
      }
    } catch (OrtException e) {
      throw failure(
          "The model "
              + name
              + " cannot take inputs of shape "
              + Arrays.toString(batch.shape())
              + ": check the channels and the size that it was exported for.",
          e);
    } finally {
      pinned.values().forEach(OnnxTensor::close);
    }
    values.replaceAll(
        (key, value) ->
            value.scalar_type().intern() == ScalarType.Float ? value : value.to(ScalarType.Float));
    for (Map.Entry<String, Tensor> entry : values.entrySet()) {
      if (entry.getValue().dim() == 0 || entry.getValue().size(0) != batch.size(0)) {
        throw new OutriggerException(
            "The value "
                + entry.getKey()
                + " of "
                + name
                + " has shape "
                + Arrays.toString(entry.getValue().shape())
                + " for "
                + batch.size(0)
                + " rows: name one with a row for each input.");
      }
    }
    return values;
  }

  private static long @Nullable [] knownShape(NodeInfo node, long rows) {
    if (!(node.getInfo() instanceof TensorInfo info)) {
      return null;
    }
    long[] shape = info.getShape().clone();
    if (shape.length < 2 || (shape[0] > 0 && shape[0] != rows)) {
      return null;
    }
    shape[0] = rows;
    return Arrays.stream(shape).allMatch(size -> size > 0) ? shape : null;
  }

  private static Tensor joined(List<Map<String, Tensor>> parts, String value) {
    Tensor[] pieces =
        parts.stream()
            .map(part -> java.util.Objects.requireNonNull(part.get(value)))
            .toArray(Tensor[]::new);
    return pieces.length == 1 ? pieces[0] : torch.cat(new TensorVector(pieces), 0);
  }

  private Tensor pooled(Tensor value) {
    if (value.dim() < 2) {
      throw new OutriggerException(
          "The features of "
              + name
              + " have shape "
              + Arrays.toString(value.shape())
              + ", but [N, D] is needed: name another value.");
    }
    return value.dim() == 2 ? value : value.flatten(2, -1).mean(2);
  }

  @Override
  public Description describe() {
    long[] shape = inputShape;
    return new Description(
        "ONNX",
        shape == null || shape.length == 0
            ? List.of()
            : Arrays.stream(shape).skip(1).boxed().toList(),
        graph
            .layers()
            .map(
                node ->
                    new Description.Layer(
                        node.getOutput(0), node.getOpType(), graph.parameters(node)))
            .toList(),
        graph.stored().stream()
            .filter(t -> t.getDimsCount() > 0)
            .map(
                t ->
                    new Description.Stored(
                        t.getName(),
                        t.getDimsList().stream().mapToLong(Long::longValue).toArray(),
                        false))
            .toList(),
        List.of(),
        List.copyOf(notes));
  }

  @Override
  public String fileExtension() {
    return "onnx";
  }

  /**
   * Writes the model as it was opened, with what the options named. Weights that lie in files
   * beside the model cannot be written.
   */
  @Override
  public void save(Path file) {
    if (graph.stored().stream()
        .anyMatch(t -> t.getDataLocation() == TensorProto.DataLocation.EXTERNAL)) {
      throw new OutriggerException(
          "The model "
              + name
              + " keeps its weights in files beside it and cannot be saved as one file: export it"
              + " without external data.");
    }
    ModelProto.Builder copy = proto.toBuilder().clearMetadataProps();
    proto.getMetadataPropsList().stream()
        .filter(entry -> !entry.getKey().startsWith(SAVED))
        .forEach(copy::addMetadataProps);
    options
        .named()
        .forEach(
            (key, value) ->
                copy.addMetadataProps(
                    StringStringEntryProto.newBuilder().setKey(SAVED + key).setValue(value)));
    Path whole = file.toAbsolutePath();
    Path part = whole.resolveSibling("." + whole.getFileName() + ".part");
    try {
      Files.write(part, copy.build().toByteArray());
      Files.move(part, whole, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      part.toFile().delete();
      throw new OutriggerException(
          "The model " + name + " cannot be written to " + file + ": " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    for (OrtSession session : sessions.values()) {
      try {
        session.close();
      } catch (OrtException e) {
        throw failure("The model " + name + " could not be closed.", e);
      }
    }
    if (head != null) {
      Scopes.release(head.weight());
      Scopes.release(head.bias());
    }
  }
}
