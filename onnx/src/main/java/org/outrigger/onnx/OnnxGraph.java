package org.outrigger.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto.Dimension;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * An ONNX graph as a classifier: its inputs and outputs, the linear operation at its end, and the
 * inner values that can become outputs.
 */
final class OnnxGraph {
  /** Operations whose results are worth a look: layers, not arithmetic on shapes. */
  private static final Set<String> LAYERS =
      Set.of(
          "Conv",
          "ConvTranspose",
          "Gemm",
          "MatMul",
          "BatchNormalization",
          "LayerNormalization",
          "InstanceNormalization",
          "GroupNormalization",
          "Relu",
          "LeakyRelu",
          "PRelu",
          "Elu",
          "Selu",
          "Gelu",
          "Sigmoid",
          "HardSwish",
          "Tanh",
          "Clip",
          "Softplus",
          "Add",
          "MaxPool",
          "AveragePool",
          "GlobalAveragePool",
          "GlobalMaxPool",
          "ReduceMean",
          "Flatten",
          "Concat");

  private final ModelProto model;
  private final Map<String, NodeProto> producers = new LinkedHashMap<>();
  private final Map<String, TensorProto> constants = new LinkedHashMap<>();

  OnnxGraph(ModelProto model) {
    this.model = model;
    graph().getInitializerList().forEach(tensor -> constants.put(tensor.getName(), tensor));
    for (NodeProto node : graph().getNodeList()) {
      node.getOutputList().forEach(output -> producers.put(output, node));
      if (node.getOpType().equals("Constant") && node.getOutputCount() == 1) {
        attribute(node, "value")
            .filter(AttributeProto::hasT)
            .ifPresent(value -> constants.put(node.getOutput(0), value.getT()));
      }
    }
  }

  /**
   * A linear operation: logits = features weight^T + bias.
   *
   * @param features the value that goes in
   * @param logits the value that comes out
   * @param transposed whether the stored weight is [D, C]
   */
  record Linear(
      String features,
      String logits,
      TensorProto weight,
      boolean transposed,
      @Nullable TensorProto bias) {}

  private GraphProto graph() {
    return model.getGraph();
  }

  /** The inputs that a caller gives: those without an initial value. */
  List<ValueInfoProto> inputs() {
    return graph().getInputList().stream()
        .filter(input -> !constants.containsKey(input.getName()))
        .toList();
  }

  List<ValueInfoProto> outputs() {
    return graph().getOutputList();
  }

  /** The element type of a tensor value, or UNDEFINED. */
  static TensorProto.DataType type(ValueInfoProto value) {
    if (!value.getType().hasTensorType()) {
      return TensorProto.DataType.UNDEFINED;
    }
    TensorProto.DataType type =
        TensorProto.DataType.forNumber(value.getType().getTensorType().getElemType());
    return type == null ? TensorProto.DataType.UNDEFINED : type;
  }

  /** The sizes of a value, 0 where any will do; null if not even their number is known. */
  static long @Nullable [] shape(ValueInfoProto value) {
    if (!value.getType().getTensorType().hasShape()) {
      return null;
    }
    List<Dimension> dimensions = value.getType().getTensorType().getShape().getDimList();
    return dimensions.stream().mapToLong(d -> Math.max(0, d.getDimValue())).toArray();
  }

  /** What goes into a softmax, if the value comes out of one. */
  Optional<String> beforeSoftmax(String value) {
    NodeProto node = producers.get(value);
    return node != null
            && (node.getOpType().equals("Softmax") || node.getOpType().equals("LogSoftmax"))
            && node.getInputCount() == 1
            && producers.containsKey(node.getInput(0))
        ? Optional.of(node.getInput(0))
        : Optional.empty();
  }

  /** The linear operation that makes a value, if one does. */
  Optional<Linear> linear(String value) {
    NodeProto node = producers.get(value);
    if (node == null) {
      return Optional.empty();
    }
    switch (node.getOpType()) {
      case "Identity":
        return linear(node.getInput(0))
            .map(l -> new Linear(l.features, value, l.weight, l.transposed, l.bias));
      case "Gemm":
        if (number(node, "alpha", 1) != 1
            || number(node, "beta", 1) != 1
            || integer(node, "transA") != 0) {
          return Optional.empty();
        }
        return product(
            node.getInput(0),
            node.getInput(1),
            integer(node, "transB") == 0,
            node.getInputCount() > 2 ? node.getInput(2) : "",
            value);
      case "MatMul":
        return product(node.getInput(0), node.getInput(1), true, "", value);
      case "Add":
        for (int i = 0; i < 2; i++) {
          NodeProto inner = producers.get(node.getInput(i));
          if (inner != null && inner.getOpType().equals("MatMul")) {
            return product(inner.getInput(0), inner.getInput(1), true, node.getInput(1 - i), value);
          }
        }
        return Optional.empty();
      default:
        return Optional.empty();
    }
  }

  private Optional<Linear> product(
      String features, String weight, boolean transposed, String bias, String logits) {
    TensorProto matrix = constants.get(weight);
    boolean turned = transposed;
    NodeProto turn = producers.get(weight);
    if (matrix == null && turn != null && turn.getOpType().equals("Transpose")) {
      matrix = constants.get(turn.getInput(0));
      turned = !transposed;
    }
    if (matrix == null || matrix.getDimsCount() != 2) {
      return Optional.empty();
    }
    TensorProto shift = bias.isEmpty() ? null : constants.get(bias);
    long classes = matrix.getDims(turned ? 1 : 0);
    if (!bias.isEmpty() && (shift == null || count(shift) != classes)) {
      return Optional.empty();
    }
    return Optional.of(new Linear(features, logits, matrix, turned, shift));
  }

  /**
   * The linear operation of that name: of its node, its weight, or its result.
   *
   * @throws OutriggerException if there is none
   */
  Linear linearOf(String name) {
    List<String> known = new ArrayList<>();
    for (NodeProto node : graph().getNodeList()) {
      if (node.getOutputCount() != 1) {
        continue;
      }
      Optional<Linear> linear = linear(node.getOutput(0));
      if (linear.isPresent()) {
        String weight = linear.get().weight().getName();
        if (name.equals(node.getName())
            || name.equals(node.getOutput(0))
            || name.equals(weight)
            || (name + ".weight").equals(weight)) {
          return linear.get();
        }
        known.add(weight.isEmpty() ? node.getOutput(0) : weight);
      }
    }
    throw new OutriggerException(
        "The model has no linear layer '" + name + "'. It has: " + String.join(", ", known) + ".");
  }

  /** Whether the graph computes a value of that name. */
  boolean computes(String value) {
    return producers.containsKey(value) && !constants.containsKey(value);
  }

  /** The inner values that can be asked for, in order of computation. */
  List<String> points() {
    return layers().map(node -> node.getOutput(0)).toList();
  }

  /** The nodes that are layers, in order of computation. */
  java.util.stream.Stream<NodeProto> layers() {
    return graph().getNodeList().stream()
        .filter(node -> LAYERS.contains(node.getOpType()) && node.getOutputCount() > 0)
        .filter(node -> !node.getOutput(0).isEmpty());
  }

  /** The number of stored values that a node uses. */
  long parameters(NodeProto node) {
    return node.getInputList().stream()
        .distinct()
        .map(constants::get)
        .filter(Objects::nonNull)
        .mapToLong(OnnxGraph::count)
        .sum();
  }

  /** The tensors stored in the graph, by name. */
  List<TensorProto> stored() {
    return graph().getInitializerList();
  }

  static long count(TensorProto tensor) {
    long count = 1;
    for (long size : tensor.getDimsList()) {
      count = Math.multiplyExact(count, size);
    }
    return count;
  }

  /**
   * The model with chosen values as its only outputs.
   *
   * @param values names of outputs or of inner values
   */
  ModelProto giving(List<String> values) {
    GraphProto.Builder changed = graph().toBuilder();
    Map<String, ValueInfoProto> known = new LinkedHashMap<>();
    graph().getValueInfoList().forEach(info -> known.put(info.getName(), info));
    graph().getOutputList().forEach(info -> known.put(info.getName(), info));
    changed.clearOutput();
    for (String value : values) {
      changed.addOutput(
          known.getOrDefault(value, ValueInfoProto.newBuilder().setName(value).build()));
    }
    return model.toBuilder().setGraph(changed).build();
  }

  private static Optional<AttributeProto> attribute(NodeProto node, String name) {
    return node.getAttributeList().stream().filter(a -> a.getName().equals(name)).findFirst();
  }

  private static double number(NodeProto node, String name, double otherwise) {
    return attribute(node, name)
        .map(AttributeProto::getF)
        .map(Float::doubleValue)
        .orElse(otherwise);
  }

  private static long integer(NodeProto node, String name) {
    return attribute(node, name).map(AttributeProto::getI).orElse(0L);
  }
}
