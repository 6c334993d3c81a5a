package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;

/**
 * The shell of all stream detectors: it refuses bad values, starts anew after a drift, saves and
 * restores. A method adds {@link #step}, {@link #clear} and its memory.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class BaseDriftDetector<S extends Record> implements DriftDetector {
  private static final int LAYOUT = 1;

  private S settings;
  private long seen;
  private boolean drift;
  private boolean warning;

  protected BaseDriftDetector(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /** Takes a checked value and {@linkplain #flag flags} what it means. */
  protected abstract void step(double value);

  /** Back to the memory of a new detector. */
  protected abstract void clear();

  /** Writes the memory: numbers, booleans and lists of numbers by name. */
  protected abstract void save(Map<String, Object> memory);

  /**
   * Takes over a memory that {@link #save} wrote.
   *
   * @throws OutriggerException if it is damaged; what is left behind then is never used
   */
  protected abstract void load(State memory);

  /** What happens at the first update after a drift; forgetting everything unless overridden. */
  protected void startAnew() {
    seen = 0;
    clear();
  }

  /** Sets both flags. */
  protected final void flag(boolean drifts, boolean warns) {
    drift = drifts;
    warning = warns;
  }

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final DriftLevel update(double value) {
    if (!domain().accepts(value)) {
      throw new OutriggerException(
          card().name()
              + " cannot take the value "
              + value
              + ": it must be "
              + domain().words()
              + ". Leave such values out of the stream.");
    }
    if (drift) {
      startAnew();
      flag(false, false);
    }
    seen++;
    step(value);
    return level();
  }

  @Override
  public final DriftLevel level() {
    return drift ? DriftLevel.DRIFT : warning ? DriftLevel.WARNING : DriftLevel.NONE;
  }

  @Override
  public final boolean warning() {
    return warning;
  }

  @Override
  public final long seen() {
    return seen;
  }

  @Override
  public final void reset() {
    seen = 0;
    flag(false, false);
    clear();
  }

  @Override
  public final State state() {
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    Map<String, Object> memory = new LinkedHashMap<>();
    save(memory);
    return new State(
        type(),
        LAYOUT,
        Map.of(
            "settings", plain, "seen", seen, "drift", drift, "warning", warning, "memory", memory),
        Map.of());
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect(type(), LAYOUT);
    // Read into another detector first: a damaged state must leave this one as it is.
    BaseDriftDetector<S> trial =
        (BaseDriftDetector<S>)
            Methods.create(DriftDetector.class, card().slug(), state.map("settings"));
    trial.read(state);
    settings = trial.settings();
    read(state);
  }

  private void read(State state) {
    double count = state.number("seen");
    if (!(count >= 0 && count == Math.rint(count) && count < 1L << 53)) {
      throw new OutriggerException(
          "The saved " + type() + " has seen " + count + " values: the file is damaged.");
    }
    boolean drifts = flag(state, "drift");
    boolean warns = flag(state, "warning");
    load(new State(type(), LAYOUT, state.map("memory"), Map.of()));
    seen = (long) count;
    flag(drifts, warns);
  }

  /** A saved truth value. */
  protected static boolean flag(State state, String name) {
    if (state.values().get(name) instanceof Boolean value) {
      return value;
    }
    throw new OutriggerException(
        "The saved " + state.type() + " lacks the flag '" + name + "': the file is damaged.");
  }

  /** A saved list of finite numbers. */
  protected static double[] numbers(State state, String name) {
    if (state.values().get(name) instanceof List<?> list
        && list.stream().allMatch(v -> v instanceof Number n && Double.isFinite(n.doubleValue()))) {
      return list.stream().mapToDouble(v -> ((Number) v).doubleValue()).toArray();
    }
    throw new OutriggerException(
        "The saved " + state.type() + " lacks the numbers '" + name + "': the file is damaged.");
  }

  /** A saved count from 0 to {@code most}. */
  protected static long count(State state, String name, long most) {
    double value = state.number(name);
    if (value >= 0 && value <= most && value == Math.rint(value)) {
      return (long) value;
    }
    throw new OutriggerException(
        "The saved "
            + state.type()
            + " has "
            + name
            + " = "
            + value
            + ", which is impossible: the file is damaged.");
  }

  /** A saved number that is not NaN. */
  protected static double known(State state, String name) {
    double value = state.number(name);
    if (Double.isNaN(value)) {
      throw new OutriggerException(
          "The saved " + state.type() + " has no value for '" + name + "': the file is damaged.");
    }
    return value;
  }

  private String type() {
    return "drift-detector/" + card().slug();
  }
}
