package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.Adapter;
import org.outrigger.core.io.State;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import tools.jackson.databind.JsonNode;

/** Runs an adapter over the batches {@code x} of a golden case and compares what it leaves. */
final class StreamGolden {
  private StreamGolden() {}

  /** Reads one tensor or number of an adapter's state. */
  interface Part {
    Tensor of(State state);
  }

  /**
   * Runs the stream and expects {@code logits} [T, N, C], the parameters {@code NAME_after}, and
   * what {@code parts} give after each batch, stacked, under their names.
   *
   * @param adapter started on the case's network
   * @return the logits of each batch
   */
  static List<Tensor> run(GoldenCase golden, Adapter adapter, Map<String, Part> parts) {
    List<Tensor> logits = new ArrayList<>();
    Map<String, List<Tensor>> after = new LinkedHashMap<>();
    for (Tensor batch : TinyNetwork.batches(golden, "x")) {
      Output output = adapter.adapt(batch);
      logits.add(output.logits());
      State state = adapter.state();
      parts.forEach(
          (name, part) ->
              after.computeIfAbsent(name, key -> new ArrayList<>()).add(part.of(state).clone()));
    }
    golden.expect("logits", stack(logits));
    after.forEach((name, values) -> golden.expect(name, stack(values)));
    Map<String, Tensor> parameters = ((NeuralModel) adapter.model()).parameters();
    parameters.forEach(
        (name, value) -> {
          if (golden.hasOutput(name + "_after")) {
            golden.expect(name + "_after", value);
          }
        });
    return logits;
  }

  static Tensor stack(List<Tensor> tensors) {
    return torch.stack(new TensorVector(tensors.toArray(new Tensor[0])), 0);
  }

  /** The hyper-parameters that the case gives: optimiser, lr, momentum and steps. */
  static Map<String, Object> descent(GoldenCase golden) {
    Map<String, Object> changes = new LinkedHashMap<>();
    JsonNode params = golden.params();
    if (params.path("optimizer").isString()) {
      changes.put("optimiser", params.path("optimizer").asString());
    }
    for (String name : List.of("lr", "momentum")) {
      if (params.path(name).isNumber()) {
        changes.put(name, golden.param(name));
      }
    }
    if (params.path("steps").isNumber()) {
      changes.put("steps", (int) golden.param("steps"));
    }
    return changes;
  }
}
