package org.outrigger.serve;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.guard.GuardInfo;
import org.outrigger.guard.LabelSet;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.protocol.Datatype;
import org.outrigger.serve.protocol.InferRequest;
import org.outrigger.serve.protocol.InferResponse;
import org.outrigger.serve.protocol.InputTensor;
import org.outrigger.serve.protocol.Refusal;

/** What the protocol's tensors mean to a guard. */
final class Inference {
  static final String INPUT = "input";

  private Inference() {}

  /**
   * The one input, checked against what the guard takes: finite, of its shape, not too many rows.
   */
  static InputTensor input(InferRequest request, GuardInfo guard, int maxRows) {
    if (request.inputs().size() != 1) {
      throw Refusal.bad(
          "A guard takes one input of shape " + shape(guard) + ", but the request has several.");
    }
    InputTensor input = request.inputs().values().iterator().next();
    long[] shape = input.shape();
    if (shape.length == 0
        || !Arrays.equals(
            shape, 1, shape.length, guard.inputShape(), 0, guard.inputShape().length)) {
      throw Refusal.bad(
          "The input has shape "
              + Arrays.toString(shape)
              + ", but the guard takes "
              + shape(guard)
              + ".");
    }
    if (shape[0] < 1 || shape[0] > maxRows) {
      throw Refusal.bad(
          "The input has " + shape[0] + " rows: send 1 to " + maxRows + " in one request.");
    }
    float[] values = input.values();
    int rowLength = values.length / (int) shape[0];
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw Refusal.bad("Row " + i / rowLength + " of the input holds NaN or an infinite value.");
      }
    }
    return input;
  }

  /** What the guard is asked. */
  static ServedGuard.Rows rows(InferRequest request, InputTensor input, Trace trace) {
    return new ServedGuard.Rows(
        request.id(), request.stream(), input.values(), Math.toIntExact(input.shape()[0]), trace);
  }

  private static String shape(GuardInfo guard) {
    StringBuilder text = new StringBuilder("[N");
    for (long size : guard.inputShape()) {
      text.append(", ").append(size);
    }
    return text.append(']').toString();
  }

  /** Demands that all outputs that are asked for exist. */
  static void checkOutputs(InferRequest request, GuardInfo guard) {
    List<Map<String, Object>> known = outputs(guard);
    for (String name : request.outputs().keySet()) {
      if (known.stream().noneMatch(output -> name.equals(output.get("name")))) {
        throw Refusal.bad(
            "There is no output of that name; there are: "
                + String.join(", ", known.stream().map(o -> String.valueOf(o.get("name"))).toList())
                + ".");
      }
    }
  }

  /** The answer's tensors: the model's logits, and the guard's verdict as further outputs. */
  static InferResponse answer(ServedGuard guard, InferRequest request, ServedGuard.Result result) {
    List<Verdict> verdicts = result.verdicts();
    int n = verdicts.size();
    InferResponse response = new InferResponse(guard.name(), guard.version(), request);
    response.add("logits", result.logits(), n, result.logits().length / n);
    response.add("label", verdicts.stream().mapToLong(Verdict::label).toArray(), n);
    response.add("class_name", verdicts.stream().map(Verdict::className).toList(), n);
    response.add("probability", verdicts.stream().mapToDouble(Verdict::probability).toArray(), n);
    response.add("score", verdicts.stream().mapToDouble(Verdict::score).toArray(), n);
    boolean[] unknown = new boolean[n];
    for (int i = 0; i < n; i++) {
      unknown[i] = verdicts.get(i).unknown();
    }
    response.add("unknown", unknown, n);
    response.add("detector", verdicts.stream().map(Verdict::detector).toList(), n);
    if (guard.guard().labelSets() != null) {
      int classes = guard.guard().info().classNames().size();
      boolean[] members = new boolean[n * classes];
      for (int i = 0; i < n; i++) {
        LabelSet set = verdicts.get(i).labelSet();
        if (set != null) {
          for (int label : set.labels()) {
            members[i * classes + label] = true;
          }
        }
      }
      response.add("label_set", members, n, classes);
    }
    return response;
  }

  /** The metadata of a model. */
  static Map<String, Object> metadata(ServedGuard guard) {
    GuardInfo info = guard.guard().info();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("name", guard.name());
    json.put("versions", List.of(guard.version()));
    json.put("platform", "outrigger");
    json.put("inputs", List.of(tensor(INPUT, Datatype.FP32, withRows(info.inputShape()))));
    json.put("outputs", outputs(info));
    Map<String, Object> more = new LinkedHashMap<>();
    more.put("classNames", info.classNames());
    more.put("threshold", info.threshold().value());
    more.put("accept", info.threshold().accept());
    if (!info.features().isEmpty()) {
      more.put("features", info.features());
    }
    if (info.promise() != null) {
      more.put("labelSets", info.promise());
    }
    json.put("parameters", more);
    return json;
  }

  private static List<Map<String, Object>> outputs(GuardInfo info) {
    long classes = info.classNames().size();
    List<Map<String, Object>> all = new ArrayList<>();
    all.add(tensor("logits", Datatype.FP32, -1, classes));
    all.add(tensor("label", Datatype.INT64, -1));
    all.add(tensor("class_name", Datatype.BYTES, -1));
    all.add(tensor("probability", Datatype.FP64, -1));
    all.add(tensor("score", Datatype.FP64, -1));
    all.add(tensor("unknown", Datatype.BOOL, -1));
    all.add(tensor("detector", Datatype.BYTES, -1));
    if (info.labelSets() != null) {
      all.add(tensor("label_set", Datatype.BOOL, -1, classes));
    }
    return all;
  }

  private static long[] withRows(long[] inner) {
    long[] shape = new long[inner.length + 1];
    shape[0] = -1;
    System.arraycopy(inner, 0, shape, 1, inner.length);
    return shape;
  }

  private static Map<String, Object> tensor(String name, Datatype type, long... shape) {
    Map<String, Object> tensor = new LinkedHashMap<>();
    tensor.put("name", name);
    tensor.put("datatype", type.name());
    tensor.put("shape", shape);
    return tensor;
  }
}
