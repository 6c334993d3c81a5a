package org.outrigger.select.scaling;

import java.util.Arrays;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;

/**
 * Scaling laws: how a loss falls with parameters N, data D and compute C, in and out of
 * distribution. A ladder of sizes is trained, {@code L(x) = (x0 / x)^alpha} is fitted to each axis
 * with the other resources at their largest, compute to the lower envelope of all curves; the law
 * then says what a larger model, or a target loss, would cost. Yao et al., Towards Neural Scaling
 * Laws for Time Series Foundation Models, ICLR 2025.
 */
@Card(
    slug = "tsfm-scaling",
    name = "Scaling laws",
    summary = "Fits power laws of loss in model size, data and compute, and says what size to buy.",
    paper = "Yao et al., Towards Neural Scaling Laws for Time Series Foundation Models, ICLR 2025",
    year = 2025,
    room = Room.SELECT,
    needs = {Need.TRAINING})
public final class TsfmScaling implements Method {
  /**
   * @param smallest a run's loss is the mean of this many smallest losses of its validation curve;
   *     1 is the minimum
   * @param irreducible whether a loss that no size gets below is fitted too; an extension
   * @param resamples of the bootstrap, at least 100
   * @param level confidence of intervals and bands, in (0, 1)
   * @param seed of the bootstrap
   */
  public record Settings(
      int smallest, boolean irreducible, int resamples, double level, long seed) {
    public Settings {
      HyperParameter.atLeast("smallest", smallest, 1);
      HyperParameter.atLeast("resamples", resamples, 100);
      HyperParameter.inside("level", level, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(1, false, 1000, 0.95, 0);
    }
  }

  private final Settings settings;

  public TsfmScaling() {
    this(Settings.defaults());
  }

  public TsfmScaling(Settings settings) {
    this.settings = settings;
  }

  /**
   * A run's loss: the mean of the smallest of its validation curve.
   *
   * @param curve finite losses, at least {@code smallest} of them
   */
  public static double runLoss(double[] curve, int smallest) {
    if (curve.length < smallest) {
      throw new OutriggerException(
          "A validation curve of "
              + curve.length
              + " records has no "
              + smallest
              + " smallest: set smallest = "
              + Math.max(1, curve.length)
              + " or record more often.");
    }
    double[] sorted = curve.clone();
    Arrays.sort(sorted);
    return Arrays.stream(sorted).limit(smallest).average().orElse(Double.NaN);
  }

  /** Fits one law. */
  public FittedLaw fit(double[] x, double[] y) {
    return FittedLaw.of(x, y, settings);
  }

  /** Fits all axes, architectures, data sets and metrics that the runs have. */
  public ScalingStudy study(RunTable runs) {
    return ScalingStudy.of(runs, this);
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
