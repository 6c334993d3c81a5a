package org.outrigger.select.scaling;

import java.util.Map;
import java.util.TreeMap;
import org.outrigger.core.OutriggerException;

/**
 * The lower envelope of learning curves: the smallest loss that any run had for each amount of
 * compute, where logarithms of compute are rounded to one decimal.
 *
 * @param x compute in the middle of each bin, ascending
 * @param y the smallest loss in it
 */
public record Envelope(double[] x, double[] y) {
  /**
   * The envelope of points of all runs together.
   *
   * @param compute above 0
   * @param loss as many, above 0 or not
   */
  public static Envelope of(double[] compute, double[] loss) {
    if (compute.length != loss.length || compute.length == 0) {
      throw new OutriggerException(
          compute.length + " amounts of compute and " + loss.length + " losses make no envelope.");
    }
    Map<Double, Double> least = new TreeMap<>();
    for (int i = 0; i < compute.length; i++) {
      if (!(compute[i] > 0) || !Double.isFinite(compute[i]) || !Double.isFinite(loss[i])) {
        throw new OutriggerException(
            "Point "
                + i
                + " has compute "
                + compute[i]
                + " and loss "
                + loss[i]
                + ": both must be finite, and compute above 0.");
      }
      least.merge(Math.rint(Math.log10(compute[i]) * 10) / 10, loss[i], Math::min);
    }
    return new Envelope(
        least.keySet().stream().mapToDouble(bin -> Math.pow(10, bin)).toArray(),
        least.values().stream().mapToDouble(Double::doubleValue).toArray());
  }
}
