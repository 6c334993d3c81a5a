package org.outrigger.core.optim;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Capabilities.HasGenerators;
import org.outrigger.core.optim.TrainingListener.Epoch;
import org.outrigger.core.optim.TrainingListener.Validation;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * The saved form of a training run: weights, optimiser, averages, best weights, generators, and
 * where in the run it stands.
 */
record Checkpoint(
    TrainingRun run, Trainer trainer, long rows, Optimiser optimiser, @Nullable Ema ema) {
  private static final String TYPE = "trainer";
  private static final String CHOSEN = "chosenOutliers";

  State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    values.put("seed", Long.toString(trainer.settings.seed()));
    values.put("batchSize", trainer.settings.batchSize());
    values.put("rows", rows);
    values.put("step", run.step);
    values.put("bestEpoch", run.bestEpoch);
    values.put("epochLoss", run.tally.loss);
    values.put("epochSteps", run.tally.steps);
    values.put("epochCorrect", run.tally.correct);
    values.put("epochKnown", run.tally.known);
    values.put("history", run.history.stream().map(Checkpoint::values).toList());
    run.weights.forEach((name, tensor) -> tensors.put("weights/" + name, tensor));
    run.best.forEach((name, tensor) -> tensors.put("best/" + name, tensor));
    parts()
        .forEach(
            (name, part) -> {
              State state = part.state();
              values.put(
                  name,
                  Map.of(
                      "type", state.type(), "version", state.version(), "values", state.values()));
              state.tensors().forEach((key, tensor) -> tensors.put(name + "/" + key, tensor));
            });
    generators().forEach((name, rng) -> tensors.put("generators/" + name, rng.state()));
    if (run.chosenOutliers != null) {
      tensors.put(CHOSEN, Tensors.labels(run.chosenOutliers));
    }
    tensors.put("generator", torch.getDefaultCPUGenerator().get_state());
    return new State(TYPE, 1, values, tensors);
  }

  void restore(State state) {
    state.expect(TYPE, 1);
    same("seed", state.text("seed"), trainer.settings.seed());
    same("batchSize", (long) state.number("batchSize"), trainer.settings.batchSize());
    same("rows", (long) state.number("rows"), rows);
    Map<String, Tensor> weights = below(state.tensors(), "weights/");
    Map<String, Tensor> best = below(state.tensors(), "best/");
    checkShapes(run.weights, weights);
    if (!best.isEmpty()) {
      checkShapes(run.weights, best);
    }
    List<Epoch> history = new ArrayList<>();
    if (state.values().get("history") instanceof List<?> list) {
      list.forEach(item -> history.add(epoch(item)));
    }
    Tensor global = state.tensor("generator");
    Map<String, Rng> generators = generators();
    generators.keySet().forEach(name -> state.tensor("generators/" + name));
    int[] chosen = chosen(state);
    parts().forEach((name, part) -> part.restore(part(state, name)));
    run.copy(weights);
    run.chosenOutliers = chosen;
    run.best.values().forEach(Scopes::release);
    run.best.clear();
    best.forEach(
        (name, tensor) ->
            run.best.put(name, Scopes.scoped(() -> Scopes.own(tensor.detach().clone()))));
    run.history.clear();
    run.history.addAll(history);
    run.step = (long) state.number("step");
    run.bestEpoch = (int) state.number("bestEpoch");
    run.tally.loss = state.number("epochLoss");
    run.tally.steps = (long) state.number("epochSteps");
    run.tally.correct = (long) state.number("epochCorrect");
    run.tally.known = (long) state.number("epochKnown");
    generators.forEach((name, rng) -> rng.state(state.tensor("generators/" + name)));
    Torch.run(
        "The saved state of the random generator cannot be used.",
        () -> torch.getDefaultCPUGenerator().set_state(global));
  }

  private int @Nullable [] chosen(State state) {
    Tensor saved = state.tensors().get(CHOSEN);
    if (saved == null) {
      return null;
    }
    long size = trainer.outliers == null ? 0 : trainer.outliers.size();
    int[] rows = Tensors.ints(saved);
    if (Arrays.stream(rows).anyMatch(row -> row < 0 || row >= size)) {
      throw new OutriggerException(
          "The checkpoint's run chose outliers that are not in this run's "
              + size
              + ": use the same outliers to continue it exactly.");
    }
    return rows;
  }

  /** What has a state of its own, by the name it is filed under. */
  private Map<String, Stateful> parts() {
    Map<String, Stateful> parts = new LinkedHashMap<>();
    parts.put("optimiser", optimiser);
    if (ema != null) {
      parts.put("ema", ema);
    }
    if (trainer.objective instanceof Stateful objective) {
      parts.put("objectiveState", objective);
    }
    return parts;
  }

  private Map<String, Rng> generators() {
    return trainer.model.as(HasGenerators.class).map(HasGenerators::generators).orElse(Map.of());
  }

  private static State part(State state, String name) {
    State part = new State(name, 1, state.map(name), Map.of());
    return new State(
        part.text("type"),
        (int) part.number("version"),
        part.map("values"),
        below(state.tensors(), name + "/"));
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

  private static void same(String what, Object saved, long now) {
    if (!saved.toString().equals(Long.toString(now))) {
      throw new OutriggerException(
          "The checkpoint's run had "
              + what
              + " = "
              + saved
              + ", this one has "
              + now
              + ": use the same to continue it exactly.");
    }
  }

  /** Demands a value of the right shape for each weight. */
  static void checkShapes(Map<String, Tensor> weights, Map<String, Tensor> values) {
    weights.forEach(
        (name, weight) -> {
          Tensor value = values.get(name);
          if (value == null || !Arrays.equals(value.shape(), weight.shape())) {
            throw new OutriggerException(
                "The checkpoint does not fit the model: '"
                    + name
                    + "' is "
                    + (value == null ? "missing" : "of shape " + Arrays.toString(value.shape()))
                    + ", the model's has shape "
                    + Arrays.toString(weight.shape())
                    + ".");
          }
        });
  }

  private static Map<String, Object> values(Epoch epoch) {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("epoch", epoch.epoch());
    values.put("loss", epoch.loss());
    values.put("accuracy", epoch.accuracy());
    values.put("best", epoch.best());
    if (epoch.validation() != null) {
      values.put("validationLoss", epoch.validation().loss());
      values.put("validationAccuracy", epoch.validation().accuracy());
    }
    return values;
  }

  @SuppressWarnings("unchecked")
  private static Epoch epoch(Object item) {
    if (!(item instanceof Map<?, ?> map)) {
      throw new OutriggerException("The checkpoint's history is damaged.");
    }
    State values = new State("checkpoint", 1, (Map<String, Object>) map, Map.of());
    return new Epoch(
        (int) values.number("epoch"),
        values.number("loss"),
        values.number("accuracy"),
        map.containsKey("validationLoss")
            ? new Validation(values.number("validationLoss"), values.number("validationAccuracy"))
            : null,
        Objects.equals(map.get("best"), true));
  }
}
