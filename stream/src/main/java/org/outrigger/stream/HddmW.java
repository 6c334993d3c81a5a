package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * HDDM-W: exponentially weighted averages before and after a cut, compared by McDiarmid's bound. An
 * average has the sum of squared weights {@code i <- lambda^2 + (1 - lambda)^2 i} and the bound
 * {@code sqrt(i ln(1 / c) / 2)}. The cut for rises is where average plus bound was smallest; the
 * level has risen if the average since then exceeds that before by {@code sqrt((i + i') ln(1 / c) /
 * 2)}.
 *
 * <p>Best for gradual changes; few false alarms. The first value starts an average with i = 1, as
 * the authors' code does.
 *
 * <p>Frías-Blanco et al., "Online and Non-Parametric Drift Detection Methods Based on Hoeffding's
 * Bounds", TKDE 2015.
 */
@Card(
    slug = "hddm-w",
    name = "HDDM-W",
    summary = "Moving averages before and after a cut by McDiarmid's bound; gradual changes.",
    paper =
        "Frías-Blanco et al., Online and Non-Parametric Drift Detection Methods Based on"
            + " Hoeffding's Bounds, TKDE 2015",
    year = 2015,
    room = Room.STREAM,
    needs = {},
    state = "five moving averages")
public final class HddmW extends BaseDriftDetector<HddmW.Settings> {
  /**
   * @param driftConfidence the chance of a false drift that one comparison is granted, in (0, 1)
   * @param warningConfidence the same for a warning, in (0, 1), at least that of a drift
   * @param lambda the weight of the newest value in the averages, in (0, 1]
   * @param twoSided whether a fall of the level counts too
   */
  public record Settings(
      double driftConfidence, double warningConfidence, double lambda, boolean twoSided) {
    public Settings {
      HyperParameter.inside("driftConfidence", driftConfidence, 0, 1);
      HyperParameter.inside("warningConfidence", warningConfidence, 0, 1);
      HyperParameter.require(
          warningConfidence >= driftConfidence,
          "warningConfidence",
          warningConfidence,
          "at least driftConfidence = " + driftConfidence);
      HyperParameter.require(lambda > 0 && lambda <= 1, "lambda", lambda, "above 0 and at most 1");
    }

    public static Settings defaults() {
      return new Settings(0.001, 0.005, 0.05, false);
    }
  }

  /**
   * A moving average; its weights' squares sum to {@code squares}, which is 0 while it is empty.
   */
  private static final class Average {
    double mean;
    double squares;

    void add(double value, double lambda) {
      if (squares == 0) {
        set(value, 1);
      } else {
        set(
            lambda * value + (1 - lambda) * mean,
            lambda * lambda + (1 - lambda) * (1 - lambda) * squares);
      }
    }

    void set(double newMean, double newSquares) {
      mean = newMean;
      squares = newSquares;
    }
  }

  /** One side: the average at the cut and that of all values since. */
  private static final class Side {
    final Average before = new Average();
    final Average after = new Average();
    double cut = Double.POSITIVE_INFINITY;

    /**
     * Cuts at this value, or adds it to those after the cut; {@code extreme} grows with bad news.
     */
    void add(double extreme, Average total, double value, double lambda) {
      if (extreme < cut) {
        cut = extreme;
        before.set(total.mean, total.squares);
        after.set(0, 0);
      } else {
        after.add(value, lambda);
      }
    }

    boolean beyond(double sign, double confidence) {
      return before.squares > 0
          && after.squares > 0
          && sign * (after.mean - before.mean) > bound(before.squares + after.squares, confidence);
    }

    void clear() {
      cut = Double.POSITIVE_INFINITY;
      before.set(0, 0);
      after.set(0, 0);
    }
  }

  private final Average total = new Average();
  private final Side rise = new Side();
  private final Side fall = new Side();

  public HddmW() {
    this(Settings.defaults());
  }

  public HddmW(Settings settings) {
    super(settings);
  }

  /**
   * McDiarmid's bound for a weighted mean of values in [0, 1].
   *
   * @param squares the sum of the squared weights
   * @param c the chance of exceeding it
   */
  public static double bound(double squares, double c) {
    return Math.sqrt(squares * Math.log(1 / c) / 2);
  }

  @Override
  public Domain domain() {
    return Domain.UNIT;
  }

  @Override
  public long warmUp() {
    return 2;
  }

  @Override
  protected void step(double value) {
    Settings s = settings();
    total.add(value, s.lambda);
    double eps = bound(total.squares, s.driftConfidence);
    rise.add(total.mean + eps, total, value, s.lambda);
    boolean drift = rise.beyond(1, s.driftConfidence);
    boolean warning = !drift && rise.beyond(1, s.warningConfidence);
    fall.add(eps - total.mean, total, value, s.lambda);
    if (s.twoSided) {
      if (fall.beyond(-1, s.driftConfidence)) {
        drift = true;
      } else if (fall.beyond(-1, s.warningConfidence)) {
        warning = true;
      }
    }
    flag(drift, warning);
  }

  @Override
  protected void clear() {
    total.set(0, 0);
    rise.clear();
    fall.clear();
  }

  @Override
  protected void save(Map<String, Object> memory) {
    save(memory, "total", total);
    save(memory, "rise", rise);
    save(memory, "fall", fall);
  }

  private static void save(Map<String, Object> memory, String name, Average average) {
    memory.put(name + " mean", average.mean);
    memory.put(name + " squares", average.squares);
  }

  private static void save(Map<String, Object> memory, String name, Side side) {
    memory.put(name + " cut", side.cut);
    save(memory, name + " before", side.before);
    save(memory, name + " after", side.after);
  }

  @Override
  protected void load(State memory) {
    load(memory, "total", total);
    load(memory, "rise", rise);
    load(memory, "fall", fall);
  }

  private static void load(State memory, String name, Average average) {
    average.set(known(memory, name + " mean"), known(memory, name + " squares"));
  }

  private static void load(State memory, String name, Side side) {
    side.cut = known(memory, name + " cut");
    load(memory, name + " before", side.before);
    load(memory, name + " after", side.after);
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("moving average", total.mean);
    all.put("squared weights", total.squares);
    all.put("average before the cut", rise.before.mean);
    all.put("average since the cut", rise.after.mean);
    return all;
  }
}
