package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Argument;
import org.bytedeco.pytorch.Block;
import org.bytedeco.pytorch.BlockArrayRef;
import org.bytedeco.pytorch.Function;
import org.bytedeco.pytorch.Graph;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueOptional;
import org.bytedeco.pytorch.JitModule;
import org.bytedeco.pytorch.JitNode;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.Value;
import org.bytedeco.pytorch.ValueArrayRef;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.TypeKind;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * A method of a TorchScript module as one flat graph: which value holds the logits, which linear
 * operation makes them, and what the inner layers give. Any of these values can become an output of
 * a {@link ScriptProgram}.
 *
 * <p>Objects of this class live in the scope that made them, unless their graph is retained.
 */
final class ScriptGraph {
  private static final String MARK = "outrigger_";

  /** Operations whose weight names the layer that they belong to, with the weight's position. */
  private static final Map<String, Integer> WEIGHTED =
      Map.of(
          "aten::linear", 1,
          "aten::conv1d", 1,
          "aten::conv2d", 1,
          "aten::conv3d", 1,
          "aten::_convolution", 1,
          "aten::convolution", 1,
          "aten::batch_norm", 1,
          "aten::layer_norm", 2,
          "aten::group_norm", 2,
          "aten::embedding", 0);

  /** Where batch_norm takes its running mean; variance and the training flag follow. */
  private static final int RUNNING_MEAN = 3;

  /** How a program treats what depends on training. */
  enum Mode {
    EVALUATION,
    TRAINING,
    /** Evaluation, but batch normalisation uses the batch's statistics and keeps none. */
    BATCH_STATISTICS
  }

  private static final Pattern NAMED =
      Pattern.compile("(?m)^ *%(\\S+) : .* = prim::(?:GetAttr|CallMethod)\\[name=\"([^\"]+)\"\\]");

  private final Graph graph;
  private final Value self;

  /** The attribute or method that a value comes from, by the value's name in the graph. */
  private final Map<String, String> sources;

  private final Map<Long, String> names = new HashMap<>();
  private final Map<String, Value> points = new LinkedHashMap<>();

  private ScriptGraph(Graph graph) {
    this.graph = graph;
    this.self = graph.inputs().at(0);
    this.sources = sources(graph);
  }

  /** Read from the text of the graph: the binding of a node's string attributes is unreliable. */
  private static Map<String, String> sources(Graph graph) {
    Map<String, String> sources = new HashMap<>();
    Matcher matcher = NAMED.matcher(graph.toString());
    while (matcher.find()) {
      sources.put(matcher.group(1), matcher.group(2));
    }
    return sources;
  }

  /**
   * A linear operation.
   *
   * @param features its input
   * @param weight [C, D]
   * @param bias [C], or null
   */
  record Linear(Value features, Parameter weight, @Nullable Parameter bias) {}

  /** A tensor of the module by path, or one that is a constant of the graph. */
  record Parameter(@Nullable String path, @Nullable Tensor constant) {}

  /**
   * Reads a method. The outputs of the modules that it calls are given names in the module's own
   * code, which changes nothing else.
   *
   * @throws OutriggerException if it takes more than one input
   */
  static ScriptGraph of(JitModule module, String method) {
    markCalls(module, method, new HashSet<>());
    Function function = module.get_method(method).function();
    ScriptGraph flat = new ScriptGraph(torch.toGraphFunction(function).optimized_graph().copy());
    flat.bindDefaults(function, method);
    flat.findPoints();
    return flat;
  }

  /** Names the outputs of the modules that a method calls, itself or by other methods. */
  private static void markCalls(JitModule module, String method, Set<String> done) {
    if (!done.add(method)) {
      return;
    }
    Graph source = module.get_method(method).graph();
    Map<String, String> sources = sources(source);
    Value self = source.inputs().at(0);
    each(
        source,
        node -> {
          if (!kind(node).equals("prim::CallMethod")) {
            return;
          }
          String called = sources.get(node.output(0).debugName().getString());
          Value target = node.input(0);
          String child = isGet(target) ? sources.get(target.debugName().getString()) : null;
          if (called == null) {
            return;
          }
          if (target.equals(self)) {
            markCalls(module, called, done);
            node.output(0).setDebugName(MARK + called + "_method");
          } else if (child != null && called.equals("forward")) {
            if (target.node().input(0).equals(self)) {
              node.output(0).setDebugName(MARK + child);
            }
          }
        });
  }

  /** Inputs beyond the first are fixed to their defaults. */
  private void bindDefaults(Function function, String method) {
    long inputs = graph.inputs().size();
    if (inputs < 2) {
      throw new OutriggerException(
          "The model's " + method + " takes no input: it must take one batch of inputs.");
    }
    Argument arguments = function.getSchema().arguments();
    for (long i = inputs - 1; i >= 2; i--) {
      IValueOptional value = arguments.getPointer(i).default_value();
      if (!value.has_value()) {
        throw new OutriggerException(
            "The model's "
                + method
                + " takes "
                + (inputs - 1)
                + " inputs, but one batch of inputs is all that is given: export a model with one"
                + " input, or give the others default values.");
      }
      graph.setInsertPoint(graph.nodes().front());
      graph.inputs().at(i).replaceAllUsesWith(graph.insertConstant(value.get()));
      graph.eraseInput(i);
    }
  }

  private void findPoints() {
    for (JitNode node : nodes(graph.block())) {
      for (long i = 0; i < node.outputs().size(); i++) {
        Value value = node.output(i);
        if (!isTensor(value)) {
          continue;
        }
        String called = value.hasDebugName() ? value.debugName().getString() : "";
        if (called.startsWith(MARK) && !called.endsWith("_method")) {
          points.put(called.substring(MARK.length()), value);
          continue;
        }
        Integer weight = WEIGHTED.get(kind(node));
        if (weight != null && node.inputs().size() > weight) {
          String path = path(node.input(weight));
          if (path != null && path.contains(".")) {
            points.putIfAbsent(path.substring(0, path.lastIndexOf('.')), value);
          }
        }
      }
    }
  }

  /** The outputs of inner layers by path: those that forward calls, and those with weights. */
  Map<String, Value> points() {
    return points;
  }

  /** The value of a method of the same module that this one calls, such as {@code features}. */
  Optional<Value> called(String method) {
    return find(
        value ->
            value.hasDebugName()
                && value.debugName().getString().equals(MARK + method + "_method"));
  }

  /**
   * The tensors that the method returns: one, or the elements of a tuple, list or dictionary.
   *
   * @return by key: {@code 0}, {@code 1} ... or the dictionary's keys
   */
  Map<String, Value> outputs(String method) {
    Value result = graph.outputs().at(0);
    Map<String, Value> found = new LinkedHashMap<>();
    if (isTensor(result)) {
      found.put("0", result);
      return found;
    }
    ValueArrayRef parts = result.node().inputs();
    String kind = kind(result.node());
    if (kind.equals("prim::TupleConstruct") || kind.equals("prim::ListConstruct")) {
      for (long i = 0; i < parts.size(); i++) {
        if (isTensor(parts.at(i))) {
          found.put(String.valueOf(i), parts.at(i));
        }
      }
    } else if (kind.equals("prim::DictConstruct")) {
      for (long i = 0; i + 1 < parts.size(); i += 2) {
        IValueOptional key = torch.toIValue(parts.at(i));
        if (key.has_value() && key.get().isString() && isTensor(parts.at(i + 1))) {
          found.put(key.get().toStringRef().getString(), parts.at(i + 1));
        }
      }
    }
    if (found.isEmpty()) {
      throw new OutriggerException(
          "The model's "
              + method
              + " gives a "
              + result.type().access().annotation_str().getString()
              + ": it must give the logits as a tensor, or a tuple, list or dictionary of tensors"
              + " that holds them.");
    }
    return found;
  }

  /** What goes into a softmax, if the value comes out of one. */
  Optional<Value> beforeSoftmax(Value value) {
    String kind = kind(value.node());
    return kind.equals("aten::softmax") || kind.equals("aten::log_softmax")
        ? Optional.of(value.node().input(0))
        : Optional.empty();
  }

  /** The linear operation that makes a value, if one does. */
  Optional<Linear> linear(Value value) {
    JitNode node = value.node();
    return switch (kind(node)) {
      case "aten::linear" -> linear(node.input(0), node.input(1), node.input(2), false);
      case "aten::addmm" ->
          isOne(node.input(3)) && isOne(node.input(4))
              ? linear(node.input(1), node.input(2), node.input(0), true)
              : Optional.empty();
      case "aten::matmul", "aten::mm" -> linear(node.input(0), node.input(1), null, true);
      case "aten::add", "aten::add_" -> {
        if (node.inputs().size() != 3 || !isOne(node.input(2))) {
          yield Optional.empty();
        }
        JitNode product = node.input(0).node();
        String kind = kind(product);
        yield kind.equals("aten::matmul") || kind.equals("aten::mm")
            ? linear(product.input(0), product.input(1), node.input(1), true)
            : Optional.empty();
      }
      default -> Optional.empty();
    };
  }

  /** The linear operation whose weight belongs to the module of that path. */
  Optional<Map.Entry<Value, Linear>> linearOf(String path) {
    for (JitNode node : nodes(graph.block())) {
      if (node.outputs().size() == 1 && isTensor(node.output(0))) {
        Optional<Linear> linear = linear(node.output(0));
        if (linear.isPresent() && (path + ".weight").equals(linear.get().weight().path())) {
          return Optional.of(Map.entry(node.output(0), linear.get()));
        }
      }
    }
    return Optional.empty();
  }

  private Optional<Linear> linear(
      Value features, Value weight, @Nullable Value bias, boolean transposed) {
    Value matrix = weight;
    if (transposed) {
      JitNode flip = weight.node();
      String kind = kind(flip);
      if (!kind.equals("aten::t") && !kind.equals("aten::numpy_T")) {
        return Optional.empty();
      }
      matrix = flip.input(0);
    }
    Parameter w = parameter(matrix);
    Parameter b = bias == null || bias.mustBeNone() ? null : parameter(bias);
    if (w == null || (b == null && bias != null && !bias.mustBeNone())) {
      return Optional.empty();
    }
    return Optional.of(new Linear(features, w, b));
  }

  private @Nullable Parameter parameter(Value value) {
    String path = path(value);
    if (path != null) {
      return new Parameter(path, null);
    }
    IValueOptional constant = torch.toIValue(value);
    return constant.has_value() && constant.get().isTensor()
        ? new Parameter(null, new Tensor(constant.get().toTensor()))
        : null;
  }

  private static boolean isOne(Value value) {
    IValueOptional constant = torch.toIValue(value);
    return constant.has_value()
        && (constant.get().isInt()
            ? constant.get().toInt() == 1
            : constant.get().isDouble() && constant.get().toDouble() == 1);
  }

  /** The path of an attribute of the module, or null if the value is not one. */
  private @Nullable String path(Value value) {
    if (value.equals(self)) {
      return "";
    }
    if (!isGet(value)) {
      return null;
    }
    String parent = path(value.node().input(0));
    if (parent == null) {
      return null;
    }
    String name = attribute(value);
    if (name == null) {
      return null;
    }
    return parent.isEmpty() ? name : parent + "." + name;
  }

  /** Lets the graph outlive the scope. */
  void retain() {
    graph.retainReference();
  }

  void release() {
    graph.releaseReference();
  }

  /** A name for a value by which {@link #program} finds it. */
  String mark(Value value) {
    return names.computeIfAbsent(
        value.unique(),
        id -> {
          String name = MARK + "value_" + names.size();
          value.setDebugName(name);
          return name;
        });
  }

  /**
   * A graph of its own that gives chosen values.
   *
   * @param outputs marks of the values
   * @param lifted paths of parameters and buffers that become inputs, after the batch
   * @param mode whether modules take themselves to be in training, and whose statistics batch
   *     normalisation uses
   */
  Graph program(List<String> outputs, List<String> lifted, Mode mode) {
    ScriptGraph copy = new ScriptGraph(graph.copy());
    Graph made = copy.graph;
    Map<String, Value> inputs = new HashMap<>();
    for (String path : lifted) {
      inputs.put(path, made.addInput());
    }
    if (mode != Mode.EVALUATION || !lifted.isEmpty()) {
      made.setInsertPoint(made.nodes().front());
      Value on = mode == Mode.TRAINING ? made.insertConstant(new IValue(true)) : null;
      each(
          made,
          node -> {
            if (kind(node).equals("prim::GetAttr")) {
              Value value = node.output(0);
              String path = copy.path(value);
              Value input = path == null ? null : inputs.get(path);
              if (input != null) {
                value.replaceAllUsesWith(input);
              } else if (on != null && "training".equals(copy.attribute(value))) {
                value.replaceAllUsesWith(on);
              }
            }
          });
      if (mode == Mode.BATCH_STATISTICS) {
        Value batch = made.insertConstant(new IValue(true));
        Value none = made.insertConstant(new IValue());
        each(
            made,
            node -> {
              if (kind(node).equals("aten::batch_norm")) {
                node.replaceInput(RUNNING_MEAN, none);
                node.replaceInput(RUNNING_MEAN + 1, none);
                node.replaceInput(RUNNING_MEAN + 2, batch);
              }
            });
      }
    }
    Map<String, Value> marked = new HashMap<>();
    copy.find(
        value -> {
          if (value.hasDebugName()) {
            marked.put(value.debugName().getString(), value);
          }
          return false;
        });
    while (made.outputs().size() > 0) {
      made.eraseOutput(0);
    }
    for (String output : outputs) {
      made.registerOutput(Objects.requireNonNull(marked.get(output), "A marked value is gone"));
    }
    return made;
  }

  private Optional<Value> find(Predicate<Value> wanted) {
    ValueArrayRef inputs = graph.inputs();
    for (long i = 1; i < inputs.size(); i++) {
      if (wanted.test(inputs.at(i))) {
        return Optional.of(inputs.at(i));
      }
    }
    for (JitNode node : nodes(graph.block())) {
      for (long i = 0; i < node.outputs().size(); i++) {
        if (isTensor(node.output(i)) && wanted.test(node.output(i))) {
          return Optional.of(node.output(i));
        }
      }
    }
    return Optional.empty();
  }

  private static boolean isGet(Value value) {
    return kind(value.node()).equals("prim::GetAttr");
  }

  static boolean isTensor(Value value) {
    return value.type().access().kind().intern() == TypeKind.TensorType;
  }

  private static String kind(JitNode node) {
    return node.kind().toQualString().getString();
  }

  private @Nullable String attribute(Value value) {
    return sources.get(value.debugName().getString());
  }

  private static void each(Graph graph, Consumer<JitNode> visitor) {
    each(graph.block(), visitor);
  }

  private static void each(Block block, Consumer<JitNode> visitor) {
    for (JitNode node : nodes(block)) {
      visitor.accept(node);
      BlockArrayRef inner = node.blocks();
      for (long i = 0; i < inner.size(); i++) {
        each(inner.at(i), visitor);
      }
    }
  }

  /** The nodes of a block, in order of execution. */
  private static List<JitNode> nodes(Block block) {
    List<JitNode> nodes = new ArrayList<>();
    JitNode end = block.return_node();
    for (JitNode node = block.nodes().front(); !node.equals(end); node = node.next()) {
      nodes.add(node);
    }
    return nodes;
  }
}
