package org.outrigger.select.scaling;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.AdamW;
import org.outrigger.core.optim.Clipping;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.optim.ParameterGroup;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.zoo.series.SeriesTransformer;

/**
 * One run of a sweep: a network is trained and measured at even distances. All randomness is a
 * function of seed and step, and a checkpoint holds weights, optimiser and records, so a run that
 * was stopped continues to the last bit.
 */
public final class ScalingRun {
  private static final String TYPE = "scaling-run";

  /**
   * What is trained.
   *
   * @param size of the network
   * @param decoder or encoder
   * @param source of training windows
   * @param seed of weights and batches
   */
  public record Plan(ModelSize size, boolean decoder, SeriesSource source, long seed) {
    public String architecture() {
      return decoder ? "decoder" : "encoder";
    }

    /** A name for files, such as {@code encoder-10K-1000000-s0}. */
    public String name() {
      return architecture() + "-" + size.name() + "-" + (long) source.points() + "-s" + seed;
    }
  }

  private final Plan plan;
  private final SweepSettings settings;
  private final List<EvaluationSet> sets;
  private final @Nullable Path file;
  private final int everySteps;
  private final LongConsumer progress;
  private final List<RunTable.Row> rows = new ArrayList<>();
  private long step;

  /**
   * @param sets what it is measured on
   * @param file where its checkpoint and, at the end, its network is; null for none
   * @param everySteps steps between checkpoints
   * @param progress hears the number of steps done after each; what it throws stops the run
   */
  public ScalingRun(
      Plan plan,
      SweepSettings settings,
      List<EvaluationSet> sets,
      @Nullable Path file,
      int everySteps,
      LongConsumer progress) {
    this.plan = plan;
    this.settings = settings;
    this.sets = List.copyOf(sets);
    this.file = file;
    this.everySteps = everySteps;
    this.progress = progress;
  }

  /** AdamW whose decay shrinks the weights of linear layers alone. */
  static Optimiser optimiser(SeriesTransformer network, SweepSettings settings) {
    Map<String, Tensor> decayed = new LinkedHashMap<>();
    Map<String, Tensor> others = network.parameters();
    network
        .layers()
        .forEach(
            (path, layer) -> {
              if (layer instanceof Linear) {
                Tensor weight = others.remove(path + ".weight");
                if (weight != null) {
                  decayed.put(path + ".weight", weight);
                }
              }
            });
    return new AdamW(
        List.of(ParameterGroup.of(decayed), ParameterGroup.of(others).withWeightDecay(0)),
        new Adam.Settings(
            settings.learningRate(),
            settings.beta1(),
            settings.beta2(),
            settings.epsilon(),
            settings.weightDecay(),
            false));
  }

  /**
   * Trains to the end, from the checkpoint where there is one.
   *
   * @return all that was measured; a finished run is not trained again
   * @throws OutriggerException if the loss stops being a finite number, or the checkpoint is of
   *     other settings or data
   */
  public List<RunTable.Row> run() {
    try (SeriesTransformer network =
            SeriesTransformer.create(plan.size.config(plan.decoder, settings), plan.seed);
        Optimiser optimiser = optimiser(network, settings)) {
      if (file != null && Files.exists(file)) {
        restore(network, optimiser);
      }
      Schedule schedule = settings.schedule();
      while (step < settings.steps()) {
        train(network, optimiser, schedule);
        step++;
        if (settings.recordAfter(step)) {
          measure(network);
        }
        if (file != null && (step % everySteps == 0 || step == settings.steps())) {
          save(network, optimiser);
        }
        progress.accept(step);
      }
      return List.copyOf(rows);
    }
  }

  private void train(SeriesTransformer network, Optimiser optimiser, Schedule schedule) {
    try (PointerScope scope = new PointerScope()) {
      Tensor loss =
          network.loss(
              SeriesPacking.batch(plan.source, settings, Rng.derive(plan.seed, "batch " + step)));
      double value = loss.item_double();
      if (!Double.isFinite(value)) {
        throw new OutriggerException(
            "The loss of "
                + plan.name()
                + " became "
                + value
                + " at step "
                + step
                + ": use a smaller learning rate or a longer warm-up.");
      }
      optimiser.clearGradients();
      loss.backward();
      Clipping.byNorm(network.parameters().values(), settings.clip());
      optimiser.pace(schedule.factor(step));
      optimiser.step();
      optimiser.clearGradients();
    }
  }

  private void measure(SeriesTransformer network) {
    for (EvaluationSet set : sets) {
      rows.add(row(network, set.name(), "nll", set.nll(network, settings)));
      if (step == settings.steps() && settings.samples() > 0) {
        set.forecast(network, settings, plan.seed)
            .forEach((metric, value) -> rows.add(row(network, set.name(), metric, value)));
      }
    }
  }

  private RunTable.Row row(SeriesTransformer network, String set, String metric, double value) {
    double parameters = network.stackParameters();
    return new RunTable.Row(
        plan.architecture(),
        plan.size.name(),
        Long.toString(plan.seed),
        parameters,
        plan.source.points(),
        step,
        (double) step * settings.batch() * settings.tokens(),
        Axis.compute(parameters, settings.batch(), settings.tokens(), step),
        set,
        metric,
        value);
  }

  /** What a checkpoint must agree in. */
  private Map<String, Object> identity() {
    Map<String, Object> identity = new LinkedHashMap<>();
    identity.put("run", plan.name());
    identity.put("width", plan.size.width());
    identity.put("layers", plan.size.config(plan.decoder, settings).layers());
    identity.put("heads", plan.size.heads());
    identity.put("windows", sets.stream().map(s -> s.name() + " " + print(s.windows())).toList());
    Methods.values(settings).forEach((name, value) -> identity.put(name, value.toString()));
    return identity;
  }

  /** A print of the values, so that other data are noticed. */
  private static String print(List<float[]> windows) {
    return Integer.toHexString(
        windows.stream().map(Arrays::hashCode).reduce(windows.size(), (a, b) -> 31 * a + b));
  }

  private void save(SeriesTransformer network, Optimiser optimiser) {
    boolean finished = step == settings.steps();
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>(network.stateDict());
    values.put("identity", identity());
    values.put("step", step);
    values.put("finished", finished);
    values.put("rows", rows.stream().map(RunTable.Row::values).toList());
    if (!finished) {
      State state = optimiser.state();
      values.put("optimiser", Map.of("type", state.type(), "values", state.values()));
      state.tensors().forEach((name, tensor) -> tensors.put("optimiser/" + name, tensor));
    }
    StateFiles.write(java.util.Objects.requireNonNull(file), new State(TYPE, 1, values, tensors));
  }

  private void restore(SeriesTransformer network, Optimiser optimiser) {
    try (PointerScope scope = new PointerScope()) {
      Path from = java.util.Objects.requireNonNull(file);
      State state = StateFiles.read(from).expect(TYPE, 1);
      Map<String, Object> saved = state.map("identity");
      identity()
          .forEach(
              (name, now) -> {
                if (!String.valueOf(now).equals(String.valueOf(saved.get(name)))) {
                  throw new OutriggerException(
                      from
                          + " was begun with "
                          + name
                          + " = "
                          + saved.get(name)
                          + ", not "
                          + now
                          + ": use the same settings and data to continue it, or another folder.");
                }
              });
      Map<String, Tensor> weights = new LinkedHashMap<>();
      Map<String, Tensor> memory = new LinkedHashMap<>();
      state
          .tensors()
          .forEach(
              (name, tensor) -> {
                if (name.startsWith("optimiser/")) {
                  memory.put(name.substring("optimiser/".length()), tensor);
                } else {
                  weights.put(name, tensor);
                }
              });
      List<RunTable.Row> known = new ArrayList<>();
      if (state.values().get("rows") instanceof List<?> list) {
        list.forEach(each -> known.add(RunTable.Row.of(map(from, each))));
      }
      network.loadStateDict(weights, true);
      if (!Boolean.TRUE.equals(state.values().get("finished"))) {
        State part = new State(TYPE, 1, state.map("optimiser"), Map.of());
        optimiser.restore(new State(part.text("type"), 1, part.map("values"), memory));
      }
      rows.clear();
      rows.addAll(known);
      step = (long) state.number("step");
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> map(Path from, Object each) {
    if (each instanceof Map<?, ?> map) {
      return (Map<String, Object>) map;
    }
    throw new OutriggerException(
        from + " has damaged records: remove it, and the run begins anew.");
  }

  /**
   * The network of a finished run; the caller closes it.
   *
   * @param settings those of the sweep
   * @throws OutriggerException if the run is not finished
   */
  public static SeriesTransformer network(
      Path file, ModelSize size, boolean decoder, SweepSettings settings) {
    SeriesTransformer network = SeriesTransformer.create(size.config(decoder, settings), 0);
    Scopes.run(
        () -> {
          State state = StateFiles.read(file).expect(TYPE, 1);
          if (!Boolean.TRUE.equals(state.values().get("finished"))) {
            network.close();
            throw new OutriggerException(file + " is not finished: let its sweep run to the end.");
          }
          network.loadStateDict(state.tensors(), true);
        });
    return network;
  }
}
