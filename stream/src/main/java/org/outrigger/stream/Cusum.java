package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * CUSUM: cumulated deviations beyond a slack. The tabular form learns mean and standard deviation
 * sd of the first values and then freezes them: {@code C+ <- max(0, C+ + x - mean - k sd)}, {@code
 * C- <- max(0, C- - (x - mean) - k sd)}, drift once either exceeds {@code h sd}. The running form
 * compares with the mean of all values so far, in the values' own unit: {@code S <- max(0, S + x -
 * mean - k)}, drift once {@code S > h}; MOA has it with k = 0.005 and h = 50, upwards.
 *
 * <p>A reference of 30 values is itself uncertain, which makes the tabular form the noisiest of the
 * detectors here with its defaults; a larger minInstances and h = 10 help more than anything else.
 * A reference without any spread makes every deviation a drift: set minSd if that can happen.
 *
 * <p>Page, "Continuous Inspection Schemes", Biometrika 1954.
 */
@Card(
    slug = "cusum",
    name = "CUSUM",
    summary = "Cumulated deviations from a frozen reference: quick on small lasting changes.",
    paper = "Page, Continuous Inspection Schemes, Biometrika 1954",
    year = 1954,
    room = Room.STREAM,
    needs = {},
    state = "reference and sums")
public final class Cusum extends BaseDriftDetector<Cusum.Settings> {
  /** How the level is known. */
  public enum Variant {
    /** From the first values, frozen; slack and threshold in their standard deviations. */
    TABULAR,
    /** From all values so far; slack and threshold in the unit of the values. */
    RUNNING
  }

  /**
   * @param minInstances values of the reference and before the first test, 2 or more
   * @param slack k of 0 or more: deviations up to it count as none
   * @param threshold h above 0
   * @param mode which changes count
   * @param variant how the level is known, and the unit of slack and threshold
   * @param minSd the least sd of a tabular reference, 0 or more
   */
  public record Settings(
      int minInstances,
      double slack,
      double threshold,
      Direction mode,
      Variant variant,
      double minSd) {
    public Settings {
      HyperParameter.atLeast("minInstances", minInstances, 2);
      HyperParameter.notNegative("slack", slack);
      HyperParameter.positive("threshold", threshold);
      Objects.requireNonNull(mode);
      Objects.requireNonNull(variant);
      HyperParameter.notNegative("minSd", minSd);
    }

    public static Settings defaults() {
      return new Settings(30, 0.5, 5, Direction.BOTH, Variant.TABULAR, 0);
    }

    /** The running form with MOA's values. */
    public static Settings running() {
      return new Settings(30, 0.005, 50, Direction.UP, Variant.RUNNING, 0);
    }
  }

  private double mean;
  private double squares;
  private double up;
  private double down;

  public Cusum() {
    this(Settings.defaults());
  }

  public Cusum(Settings settings) {
    super(settings);
  }

  @Override
  public Domain domain() {
    return Domain.REAL;
  }

  @Override
  public long warmUp() {
    return settings().minInstances();
  }

  @Override
  protected void step(double value) {
    Settings s = settings();
    boolean tabular = s.variant == Variant.TABULAR;
    if (!tabular || seen() <= s.minInstances) {
      double before = value - mean;
      mean += before / seen();
      squares += before * (value - mean);
    }
    if (tabular && seen() < s.minInstances) {
      return;
    }
    double unit = tabular ? sd() : 1;
    double deviation = value - mean;
    up = Math.max(0, up + deviation - s.slack * unit);
    down = Math.max(0, down - deviation - s.slack * unit);
    double limit = s.threshold * unit;
    boolean rises = s.mode.up() && up > limit;
    boolean falls = s.mode.down() && down > limit;
    flag(seen() >= s.minInstances && (rises || falls), false);
  }

  /** Of the reference, with n - 1. */
  private double sd() {
    double n =
        settings().variant == Variant.TABULAR ? Math.min(seen(), settings().minInstances) : seen();
    return n < 2 ? 0 : Math.max(settings().minSd, Math.sqrt(squares / (n - 1)));
  }

  @Override
  protected void clear() {
    mean = 0;
    squares = 0;
    up = 0;
    down = 0;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    memory.put("mean", mean);
    memory.put("squares", squares);
    memory.put("up", up);
    memory.put("down", down);
  }

  @Override
  protected void load(State memory) {
    mean = known(memory, "mean");
    squares = known(memory, "squares");
    up = known(memory, "up");
    down = known(memory, "down");
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("mean", mean);
    all.put("sd", sd());
    all.put("sum up", up);
    all.put("sum down", down);
    return all;
  }
}
