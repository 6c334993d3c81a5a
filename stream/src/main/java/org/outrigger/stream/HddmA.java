package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * HDDM-A: averages before and after a cut, compared by Hoeffding's bound. The cut for rises is
 * where {@code mean + eps(n)} was smallest, {@code eps(n) = sqrt(ln(1 / c) / 2n)}; the level has
 * risen if {@code mean - mean_cut >= sqrt(m / 2 ln(2 / c))} with {@code m = (n - n_cut) / (n
 * n_cut)}.
 *
 * <p>Best for sudden changes; few false alarms, and no assumption but that values lie in [0, 1].
 *
 * <p>Frías-Blanco et al., "Online and Non-Parametric Drift Detection Methods Based on Hoeffding's
 * Bounds", TKDE 2015.
 */
@Card(
    slug = "hddm-a",
    name = "HDDM-A",
    summary = "Averages before and after a cut by Hoeffding's bound; few false alarms.",
    paper =
        "Frías-Blanco et al., Online and Non-Parametric Drift Detection Methods Based on Hoeffding's Bounds, TKDE 2015",
    year = 2015,
    room = Room.STREAM,
    needs = {},
    state = "three averages")
public final class HddmA extends BaseDriftDetector<HddmA.Settings> {
  /**
   * @param driftConfidence the chance of a false drift that one comparison is granted, in (0, 1)
   * @param warningConfidence the same for a warning, in (0, 1), at least that of a drift
   * @param twoSided whether a fall of the level counts too
   */
  public record Settings(double driftConfidence, double warningConfidence, boolean twoSided) {
    public Settings {
      HyperParameter.inside("driftConfidence", driftConfidence, 0, 1);
      HyperParameter.inside("warningConfidence", warningConfidence, 0, 1);
      HyperParameter.require(
          warningConfidence >= driftConfidence,
          "warningConfidence",
          warningConfidence,
          "at least driftConfidence = " + driftConfidence);
    }

    public static Settings defaults() {
      return new Settings(0.001, 0.005, false);
    }
  }

  private double mean;
  private long lowCount;
  private double lowMean;
  private long highCount;
  private double highMean;

  public HddmA() {
    this(Settings.defaults());
  }

  public HddmA(Settings settings) {
    super(settings);
  }

  /** Hoeffding's bound for the mean of n values in [0, 1] at confidence c. */
  public static double bound(double n, double c) {
    return Math.sqrt(Math.log(1 / c) / (2 * n));
  }

  /** The least difference of means over all n values and the first {@code cut} that is a change. */
  public static double difference(double n, double cut, double c) {
    return Math.sqrt((n - cut) / (cut * n) / 2 * Math.log(2 / c));
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
    long n = seen();
    mean += (value - mean) / n;
    double eps = bound(n, s.driftConfidence);
    if (lowCount == 0 || lowMean + bound(lowCount, s.driftConfidence) >= mean + eps) {
      lowCount = n;
      lowMean = mean;
    }
    if (highCount == 0 || highMean - bound(highCount, s.driftConfidence) <= mean - eps) {
      highCount = n;
      highMean = mean;
    }
    boolean drift = beyond(mean - lowMean, lowCount, s.driftConfidence);
    boolean warning = !drift && beyond(mean - lowMean, lowCount, s.warningConfidence);
    if (s.twoSided) {
      if (beyond(highMean - mean, highCount, s.driftConfidence)) {
        drift = true;
      } else if (beyond(highMean - mean, highCount, s.warningConfidence)) {
        warning = true;
      }
    }
    flag(drift, warning);
  }

  private boolean beyond(double change, long cut, double confidence) {
    return cut != seen() && change >= difference(seen(), cut, confidence);
  }

  @Override
  protected void clear() {
    mean = 0;
    lowCount = 0;
    lowMean = 0;
    highCount = 0;
    highMean = 0;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    memory.put("mean", mean);
    memory.put("lowCount", lowCount);
    memory.put("lowMean", lowMean);
    memory.put("highCount", highCount);
    memory.put("highMean", highMean);
  }

  @Override
  protected void load(State memory) {
    mean = known(memory, "mean");
    lowCount = count(memory, "lowCount", 1L << 53);
    lowMean = known(memory, "lowMean");
    highCount = count(memory, "highCount", 1L << 53);
    highMean = known(memory, "highMean");
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("mean", mean);
    all.put("lowest mean", lowMean);
    all.put("lowest at", (double) lowCount);
    all.put("highest mean", highMean);
    all.put("highest at", (double) highCount);
    return all;
  }
}
