package org.outrigger.stream;

import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;

/**
 * DDM, the drift detection method: an error rate that rises clearly above its best. With error rate
 * p and {@code s = sqrt(p (1 - p) / n)} it remembers where p + s was smallest; a warning is {@code
 * p + s > p_min + 2 s_min}, a drift {@code p + s > p_min + 3 s_min}.
 *
 * <p>Good for sudden rises, slow on gradual ones after a long quiet time. While no error at all has
 * been seen s is 0 and the first error fires: known, and left as it is.
 *
 * <p>Gama, Medas, Castillo, Rodrigues, "Learning with Drift Detection", SBIA 2004.
 */
@Card(
    slug = "ddm",
    name = "DDM",
    summary = "An error rate clearly above its best so far; sudden rises of errors.",
    paper = "Gama, Medas, Castillo, Rodrigues. Learning with Drift Detection. SBIA 2004",
    year = 2004,
    room = Room.STREAM,
    needs = {},
    state = "error rate and its best")
public final class Ddm extends BaseDriftDetector<Ddm.Settings> {
  /**
   * @param warmStart errors are judged after more than so many values, 1 or more
   * @param warningThreshold standard deviations above the best for a warning, above 0
   * @param driftThreshold the same for a drift, at least that of the warning
   */
  public record Settings(int warmStart, double warningThreshold, double driftThreshold) {
    public Settings {
      HyperParameter.atLeast("warmStart", warmStart, 1);
      HyperParameter.positive("warningThreshold", warningThreshold);
      HyperParameter.positive("driftThreshold", driftThreshold);
      HyperParameter.require(
          driftThreshold >= warningThreshold,
          "driftThreshold",
          driftThreshold,
          "at least warningThreshold = " + warningThreshold);
    }

    public static Settings defaults() {
      return new Settings(30, 2, 3);
    }
  }

  private double rate;
  private double bestRate = Double.POSITIVE_INFINITY;
  private double bestSpread = Double.POSITIVE_INFINITY;
  private double best = Double.POSITIVE_INFINITY;

  public Ddm() {
    this(Settings.defaults());
  }

  public Ddm(Settings settings) {
    super(settings);
  }

  @Override
  public Domain domain() {
    return Domain.BINARY;
  }

  @Override
  public long warmUp() {
    return settings().warmStart() + 1L;
  }

  @Override
  protected void step(double value) {
    Settings s = settings();
    rate += (value - rate) / seen();
    if (seen() <= s.warmStart) {
      return;
    }
    double spread = Math.sqrt(rate * (1 - rate) / seen());
    if (rate + spread <= best) {
      bestRate = rate;
      bestSpread = spread;
      best = rate + spread;
    }
    boolean drift = rate + spread > bestRate + s.driftThreshold * bestSpread;
    flag(drift, !drift && rate + spread > bestRate + s.warningThreshold * bestSpread);
  }

  @Override
  protected void clear() {
    rate = 0;
    bestRate = Double.POSITIVE_INFINITY;
    bestSpread = Double.POSITIVE_INFINITY;
    best = Double.POSITIVE_INFINITY;
  }

  @Override
  protected void save(Map<String, Object> memory) {
    memory.put("rate", rate);
    memory.put("bestRate", bestRate);
    memory.put("bestSpread", bestSpread);
    memory.put("best", best);
  }

  @Override
  protected void load(State memory) {
    rate = known(memory, "rate");
    bestRate = known(memory, "bestRate");
    bestSpread = known(memory, "bestSpread");
    best = known(memory, "best");
  }

  @Override
  public Map<String, Double> statistics() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("error rate", rate);
    all.put("best rate", bestRate);
    all.put("best spread", bestSpread);
    return all;
  }
}
