package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * Page-Hinkley test: the running sum of deviations from the running mean, which drifts away from
 * its own extreme once the level changes. With {@code dev = x - mean}: {@code S+ <- alpha S+ + dev
 * - delta}, drift upwards once {@code S+ - min S+ > threshold}; {@code S- <- alpha S- + dev +
 * delta}, drift downwards once {@code max S- - S- > threshold}.
 *
 * <p>The threshold has the unit of the values times a number of values: 50 suits values of unit
 * scale, 10 to 20 suits errors of 0 and 1. The largest S- starts at minus infinity, where a well
 * known implementation starts at -1 and is deaf to falls for some streams.
 *
 * <p>Page, "Continuous Inspection Schemes", Biometrika 1954; Hinkley, "Inference about the
 * change-point from cumulative sum tests", Biometrika 1971.
 */
@Card(
    slug = "page-hinkley",
    name = "Page-Hinkley",
    summary = "Cumulated deviations from the running mean: cheap, two-sided, for any number.",
    paper = "Page, Continuous Inspection Schemes, Biometrika 1954; Hinkley, Biometrika 1971",
    year = 1954,
    room = Room.STREAM,
    needs = {},
    state = "sums and their extremes")
public final class PageHinkley extends BaseDriftDetector<PageHinkley.Settings> {
  /**
   * @param minInstances values before the first test, 1 or more
   * @param delta the change that is tolerated, 0 or more, in units of the values
   * @param threshold lambda above 0, in units of the values times their number
   * @param alpha how much of the sums is kept at each value, in (0, 1]
   * @param mode which changes count
   */
  public record Settings(
      int minInstances, double delta, double threshold, double alpha, Direction mode) {
    public Settings {
      HyperParameter.atLeast("minInstances", minInstances, 1);
      HyperParameter.notNegative("delta", delta);
      HyperParameter.positive("threshold", threshold);
      HyperParameter.require(alpha > 0 && alpha <= 1, "alpha", alpha, "above 0 and at most 1");
      Objects.requireNonNull(mode);
    }

    public static Settings defaults() {
      return new Settings(30, 0.005, 50, 0.9999, Direction.BOTH);
    }
  }

  private double mean;
  private double sumUp;
  private double minUp = Double.POSITIVE_INFINITY;
  private double sumDown;
  private double maxDown = Double.NEGATIVE_INFINITY;

  public PageHinkley() {
    this(Settings.defaults());
  }

  public PageHinkley(Settings settings) {
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
    mean += (value - mean) / seen();
    double deviation = value - mean;
    sumUp = s.alpha * sumUp + deviation - s.delta;
    sumDown = s.alpha * sumDown + deviation + s.delta;
    minUp = Math.min(minUp, sumUp);
    maxDown = Math.max(maxDown, sumDown);
    boolean rises = s.mode.up() && sumUp - minUp > s.threshold;
    boolean falls = s.mode.down() && maxDown - sumDown > s.threshold;
    flag(seen() >= s.minInstances && (rises || falls), false);
  }

  @Override
  protected void clear() {
    mean = 0;
    sumUp = 0;
    sumDown = 0;
    minUp = Double.POSITIVE_INFINITY;
    maxDown = Double.NEGATIVE_INFINITY;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    memory.put("mean", mean);
    memory.put("sumUp", sumUp);
    memory.put("minUp", minUp);
    memory.put("sumDown", sumDown);
    memory.put("maxDown", maxDown);
  }

  @Override
  protected void load(State memory) {
    mean = known(memory, "mean");
    sumUp = known(memory, "sumUp");
    minUp = known(memory, "minUp");
    sumDown = known(memory, "sumDown");
    maxDown = known(memory, "maxDown");
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("mean", mean);
    all.put("sum up", sumUp);
    all.put("min up", minUp);
    all.put("sum down", sumDown);
    all.put("max down", maxDown);
    return all;
  }
}
