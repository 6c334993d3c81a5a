package org.outrigger.adapt;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Torch;

/**
 * The shell of every adapter: it checks what comes in, counts, and saves, restores and resets all
 * of the state. A method says how it takes up a model ({@link #configure}), what it learns from
 * source data ({@link #learn}) and what it does with a batch ({@link #step}); it keeps what the
 * stream changes in {@link #memory()}, {@link #moving()}, {@link #parts()} and {@link
 * #generators()}, and what it learned from the source in {@link #statistics()}.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class BaseAdapter<S extends Record> implements Adapter {
  private static final int LAYOUT = 1;
  private static final String MOVING = "moving/";
  private static final String MEMORY = "memory/";
  private static final String STATISTICS = "statistics/";
  private static final String PARTS = "parts/";
  private static final String RANDOM = "random/";

  private final S settings;
  private final Memory memory = new Memory();
  private final Memory statistics = new Memory();
  private @Nullable Snapshot initial;
  private Usage usage = Usage.NONE;
  private boolean started;

  protected BaseAdapter(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  // -- what a method adds

  /**
   * Takes up a model that has what {@link #needs()} asks for, in a scope.
   *
   * @param source what {@link #start} was given
   * @param saved what {@link #resume} was given, else null
   */
  protected abstract void configure(
      Model model, @Nullable IndexedDataset source, @Nullable State saved);

  /** Learns statistics from source data, in a scope; called if the method needs some. */
  protected void learn(IndexedDataset source) {}

  /**
   * Predicts a checked batch and learns from it; runs in a scope and without recording gradients.
   */
  protected abstract Output step(Tensor inputs);

  /** Tensors that the stream changes in place, such as parameters and buffers; borrowed. */
  protected Map<String, Tensor> moving() {
    return Map.of();
  }

  /** What has a state of its own, such as an optimiser; borrowed. */
  protected Map<String, Stateful> parts() {
    return Map.of();
  }

  /** The random generators that the stream advances; borrowed. */
  protected Map<String, Rng> generators() {
    return Map.of();
  }

  /** Takes note that the state was replaced, for what is derived from it. */
  protected void restored() {}

  /** Lets go of what {@link #configure} took up; may be called when there is nothing. */
  protected abstract void release();

  // -- for methods

  /** What the stream changes and nothing else holds. */
  protected final Memory memory() {
    return memory;
  }

  /** What was learned from the source. */
  protected final Memory statistics() {
    return statistics;
  }

  /** Its name, for messages. */
  protected final String who() {
    return card().name();
  }

  /** Adds to the counts of {@link Usage}. */
  protected final void count(long reliable, long backward, long updates) {
    usage = usage.plus(new Usage(0, 0, reliable, backward, updates, 0));
  }

  /** Counts how many times it went back to the source model by itself. */
  protected final void countResets(long times) {
    usage = usage.plus(new Usage(0, 0, 0, 0, 0, times));
  }

  /** Back to the start in everything but the counts. */
  protected final void backToStart() {
    Usage kept = usage;
    take(Objects.requireNonNull(initial).state(), false);
    usage = kept;
    countResets(1);
  }

  // -- the shell

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final void start(Model model, @Nullable IndexedDataset source) {
    model.require(this, Adapter.class);
    Set<Need> needs = needs();
    if (needs.contains(Need.SOURCE)) {
      if (source == null || source.size() == 0) {
        throw new OutriggerException(
            stack()
                + " learns from data that the model knows, but got none: "
                + withoutSource()
                + ".");
      }
      if (needs.contains(Need.LABELS) && !source.labelled()) {
        throw new OutriggerException(
            stack()
                + " needs class labels with the source data, but "
                + source.name()
                + " has none.");
      }
    }
    begin(
        () -> configure(model, source, null),
        () -> {
          if (source != null && ownNeeds().contains(Need.SOURCE)) {
            learn(source);
          }
          initial = Snapshot.of(state());
        });
  }

  /** What to do when there are no source data, for the message. */
  protected String withoutSource() {
    return "give source data";
  }

  /** What this adapter itself needs, without those it is over. */
  protected Set<Need> ownNeeds() {
    return Set.of(card().needs());
  }

  @Override
  public Set<Need> needs() {
    return ownNeeds();
  }

  @Override
  public final void resume(Model model, State state) {
    model.require(this, Adapter.class);
    state.expect(type(), LAYOUT);
    begin(
        () -> configure(model, null, state),
        () -> {
          statistics(state);
          restored();
          initial = Snapshot.of(state());
          restore(state);
        });
  }

  private void begin(Runnable first, Runnable rest) {
    Torch.start();
    stop();
    try {
      Scopes.run(first);
      started = true;
      Scopes.run(rest);
    } catch (RuntimeException e) {
      stop();
      throw e;
    }
  }

  @Override
  public final Output adapt(Tensor inputs) {
    requireStarted();
    Shapes.notEmpty("The batch", inputs);
    long rows = inputs.size(0);
    if (rows < minimumBatch()) {
      throw new OutriggerException(
          stack()
              + " takes statistics from each batch, so it needs batches of "
              + minimumBatch()
              + " rows or more, but this one has "
              + rows
              + ": collect rows, or use alpha-bn or unmix-tns, which also take single ones.");
    }
    if (inputs.is_floating_point()) {
      Shapes.finite("The batch", inputs);
    }
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      Output output = step(inputs);
      usage = usage.plus(new Usage(1, rows, 0, 0, 0, 0));
      return kept(output);
    }
  }

  /** The output without its graph, for the scope around this one. */
  static Output kept(Output output) {
    return new Output(
        Scopes.keep(output.logits().detach()),
        output.hasFeatures() ? Scopes.keep(output.features().detach()) : null);
  }

  private void requireStarted() {
    if (!started) {
      throw new OutriggerException(
          stack() + " has not been started: call start with a model first.");
    }
  }

  @Override
  public final void reset() {
    requireStarted();
    take(Objects.requireNonNull(initial).state(), false);
  }

  @Override
  public Usage usage() {
    return usage;
  }

  @Override
  public final State state() {
    requireStarted();
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Scopes.run(() -> generators().forEach((name, rng) -> memory.put(RANDOM + name, rng.state())));
    values.put("stack", stack());
    values.put("settings", Adapters.plain(settings));
    values.put("usage", Methods.values(usage));
    values.put("memory", new LinkedHashMap<>(memory.numbers()));
    values.put("statistics", new LinkedHashMap<>(statistics.numbers()));
    moving().forEach((name, t) -> tensors.put(MOVING + name, t));
    memory.tensors().forEach((name, t) -> tensors.put(MEMORY + name, t));
    statistics.tensors().forEach((name, t) -> tensors.put(STATISTICS + name, t));
    Map<String, Object> inner = new LinkedHashMap<>();
    parts()
        .forEach(
            (name, part) -> {
              State state = part.state();
              inner.put(
                  name,
                  Map.of(
                      "type", state.type(), "version", state.version(), "values", state.values()));
              state.tensors().forEach((key, t) -> tensors.put(PARTS + name + "/" + key, t));
            });
    values.put("parts", inner);
    return new State(type(), LAYOUT, values, tensors);
  }

  @Override
  public final void restore(State state) {
    requireStarted();
    try (Snapshot before = snapshot()) {
      try {
        take(state, true);
      } catch (RuntimeException e) {
        take(before.state(), true);
        throw e;
      }
    }
  }

  /** Replaces the state; half of it may be replaced if this fails. */
  private void take(State state, boolean all) {
    state.expect(type(), LAYOUT);
    if (!stack().equals(state.text("stack"))) {
      throw new OutriggerException(
          "This file holds the state of "
              + state.text("stack")
              + ", not of "
              + stack()
              + ": build the same stack of adapters first.");
    }
    if (all) {
      statistics(state);
    }
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  moving()
                      .forEach(
                          (name, t) -> {
                            Tensor value = state.tensor(MOVING + name);
                            if (!Arrays.equals(value.shape(), t.shape())) {
                              throw new OutriggerException(
                                  "The saved "
                                      + name
                                      + " has shape "
                                      + Arrays.toString(value.shape())
                                      + ", but the model has "
                                      + Arrays.toString(t.shape())
                                      + ": resume with the model that was adapted.");
                            }
                            t.copy_(value);
                          });
                  generators()
                      .forEach((name, rng) -> rng.state(state.tensor(MEMORY + RANDOM + name)));
                  return true;
                }));
    memory.replace(under(state, MEMORY), numbers(state.map("memory")));
    parts()
        .forEach(
            (name, part) -> {
              if (!all && part instanceof Adapter adapter) {
                adapter.reset();
              } else {
                part.restore(part(state, name));
              }
            });
    Map<String, Object> counts = state.map("usage");
    usage =
        new Usage(
            whole(counts, "batches"),
            whole(counts, "samples"),
            whole(counts, "reliable"),
            whole(counts, "backward"),
            whole(counts, "updates"),
            whole(counts, "resets"));
    restored();
  }

  private void statistics(State state) {
    state.expect(type(), LAYOUT);
    statistics.replace(under(state, STATISTICS), numbers(state.map("statistics")));
  }

  /** The state of a part, out of that of the whole. */
  @SuppressWarnings("unchecked")
  static State part(State state, String name) {
    if (!(state.map("parts").get(name) instanceof Map<?, ?> map)
        || !(map.get("type") instanceof String type)
        || !(map.get("version") instanceof Number version)
        || !(map.get("values") instanceof Map<?, ?> values)) {
      throw new OutriggerException(
          "The saved " + state.type() + " lacks its part '" + name + "': the file is damaged.");
    }
    return new State(
        type, version.intValue(), (Map<String, Object>) values, under(state, PARTS + name + "/"));
  }

  private static Map<String, Tensor> under(State state, String prefix) {
    Map<String, Tensor> found = new LinkedHashMap<>();
    state
        .tensors()
        .forEach(
            (name, t) -> {
              if (name.startsWith(prefix)) {
                found.put(name.substring(prefix.length()), t);
              }
            });
    return found;
  }

  private static Map<String, Double> numbers(Map<String, Object> values) {
    Map<String, Double> numbers = new LinkedHashMap<>();
    values.forEach(
        (name, value) ->
            numbers.put(
                name,
                value instanceof Number number
                    ? number.doubleValue()
                    : Double.parseDouble(String.valueOf(value))));
    return numbers;
  }

  private static long whole(Map<String, Object> counts, String name) {
    if (!(counts.get(name) instanceof Number number)) {
      throw new OutriggerException(
          "The saved adapter lacks the count '" + name + "': the file is damaged.");
    }
    return number.longValue();
  }

  private String type() {
    return "adapter/" + card().slug();
  }

  private void stop() {
    started = false;
    usage = Usage.NONE;
    release();
    memory.clear();
    statistics.clear();
    Snapshot old = initial;
    initial = null;
    if (old != null) {
      old.close();
    }
  }

  @Override
  public void close() {
    stop();
  }

  @Override
  public int minimumBatch() {
    return 1;
  }

  @Override
  public List<String> trained() {
    return List.of();
  }
}
