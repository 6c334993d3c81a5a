package org.outrigger.stream;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;

/**
 * KSWIN: a Kolmogorov-Smirnov test at every value between the newest values of a sliding window and
 * as many drawn from its older ones. It sees changes of the whole distribution, not of the mean
 * alone; a drift needs an exact p-value of at most alpha and a distance above 0.1.
 *
 * <p>alpha is the level of <em>one</em> test and there is one a value, so the rate of false alarms
 * is what {@link RunLength} says, not alpha. With many ties, as of errors of 0 and 1, it loses
 * power.
 *
 * <p>Raab, Heusinger, Schleif, "Reactive Soft Prototype Computing for Concept Drift Streams",
 * Neurocomputing 2020.
 */
@Card(
    slug = "kswin",
    name = "KSWIN",
    summary = "A Kolmogorov-Smirnov test in a sliding window: any change of distribution.",
    paper =
        "Raab, Heusinger, Schleif. Reactive Soft Prototype Computing for Concept Drift Streams."
            + " Neurocomputing 2020",
    year = 2020,
    room = Room.STREAM,
    needs = {},
    state = "the window and the number of draws")
public final class Kswin extends BaseDriftDetector<Kswin.Settings> {
  private static final double LEAST_DISTANCE = 0.1;

  /**
   * @param alpha the level of one test, in (0, 1)
   * @param window values in the window, at least twice {@code stat}
   * @param stat values that are compared, 2 to 1000
   * @param keepRecent whether the window goes on with the newest values after a drift, or empty
   * @param seed of the draws
   */
  public record Settings(double alpha, int window, int stat, boolean keepRecent, long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      HyperParameter.require(stat >= 2 && stat <= 1000, "stat", stat, "between 2 and 1000");
      HyperParameter.require(
          window >= 2L * stat && window <= 1_000_000,
          "window",
          window,
          "at least twice stat = " + stat + " and at most 1000000");
    }

    public static Settings defaults() {
      return new Settings(0.005, 100, 30, true, 0);
    }
  }

  /** Chooses which of the older values a test compares. */
  @FunctionalInterface
  public interface Sampler {
    /**
     * Fills {@code chosen} with different positions from 0 to {@code older - 1}.
     *
     * @param draw the number of the draw, from 0
     */
    void draw(long draw, int older, int[] chosen);
  }

  private final Sampler sampler;
  private final boolean seeded;
  private double[] ring;
  private double[] recent;
  private double[] old;
  private int[] chosen;
  private int[] positions;
  private double critical;
  private int start;
  private int size;
  private long draws;
  private double distance = Double.NaN;

  public Kswin() {
    this(Settings.defaults());
  }

  public Kswin(Settings settings) {
    this(settings, (draw, older, chosen) -> {}, true);
  }

  /** With draws of the caller's, which is not saved. */
  public Kswin(Settings settings, Sampler sampler) {
    this(settings, sampler, false);
  }

  private Kswin(Settings settings, Sampler sampler, boolean seeded) {
    super(settings);
    this.sampler = sampler;
    this.seeded = seeded;
    critical = KolmogorovSmirnov.critical(settings.stat, settings.stat, settings.alpha);
    if (critical > 1) {
      throw new OutriggerException(
          "Hyper-parameter stat = "
              + settings.stat
              + " is too small for alpha = "
              + settings.alpha
              + ": the smallest p-value of two samples of that size is "
              + KolmogorovSmirnov.smallest(settings.stat, settings.stat)
              + ". Raise either.");
    }
    ring = new double[settings.window];
    recent = new double[settings.stat];
    old = new double[settings.stat];
    chosen = new int[settings.stat];
    positions = positions(settings);
  }

  private static int[] positions(Settings settings) {
    int[] all = new int[settings.window - settings.stat];
    Arrays.setAll(all, i -> i);
    return all;
  }

  @Override
  public Domain domain() {
    return Domain.REAL;
  }

  @Override
  public long warmUp() {
    return settings().window;
  }

  @Override
  protected void step(double value) {
    Settings s = settings();
    if (size == s.window) {
      start = (start + 1) % s.window;
      size--;
    }
    ring[(start + size) % s.window] = value;
    size++;
    flag(false, false);
    if (size < s.window) {
      return;
    }
    int older = s.window - s.stat;
    choose(older);
    for (int i = 0; i < s.stat; i++) {
      recent[i] = ring[(start + older + i) % s.window];
      old[i] = ring[(start + chosen[i]) % s.window];
    }
    Arrays.sort(recent);
    Arrays.sort(old);
    distance = KolmogorovSmirnov.distance(old, recent, KolmogorovSmirnov.Side.TWO_SIDED);
    // The distance is a multiple of 1 / n^2; half a step absorbs rounding.
    if (distance > critical - 0.5 / (s.stat * (double) s.stat) && distance > LEAST_DISTANCE) {
      flag(true, false);
      start = (start + older) % s.window;
      size = s.stat;
    }
  }

  /** Draws without replacement; the number of the draw is all the state that this has. */
  private void choose(int older) {
    if (!seeded) {
      sampler.draw(draws++, older, chosen);
      return;
    }
    SplittableRandom random = new SplittableRandom(Rng.derive(settings().seed, "kswin") + draws++);
    for (int i = 0; i < chosen.length; i++) {
      int j = i + random.nextInt(older - i);
      int swap = positions[i];
      positions[i] = positions[j];
      positions[j] = swap;
      chosen[i] = positions[i];
    }
    // Back in order, so that a draw depends on its number alone.
    Arrays.setAll(positions, i -> i);
  }

  @Override
  protected void startAnew() {
    if (!settings().keepRecent) {
      super.startAnew();
    }
  }

  @Override
  protected void clear() {
    start = 0;
    size = 0;
    draws = 0;
    distance = Double.NaN;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    double[] window = new double[size];
    Arrays.setAll(window, i -> ring[(start + i) % ring.length]);
    memory.put("window", Arrays.stream(window).boxed().toList());
    memory.put("draws", draws);
    memory.put("distance", distance);
  }

  @Override
  protected void load(State memory) {
    double[] window = numbers(memory, "window");
    if (window.length > settings().window) {
      throw new OutriggerException(
          "The saved KSWIN holds more values than its window: the file is damaged.");
    }
    long drawn = count(memory, "draws", 1L << 53);
    double last = memory.number("distance");
    Settings s = settings();
    critical = KolmogorovSmirnov.critical(s.stat, s.stat, s.alpha);
    ring = Arrays.copyOf(window, s.window);
    recent = new double[s.stat];
    old = new double[s.stat];
    chosen = new int[s.stat];
    positions = positions(s);
    start = 0;
    size = window.length;
    draws = drawn;
    distance = last;
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("distance", distance);
    all.put("critical distance", critical);
    all.put("values in the window", (double) size);
    return all;
  }
}
