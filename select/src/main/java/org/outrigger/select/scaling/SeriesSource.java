package org.outrigger.select.scaling;

import java.util.SplittableRandom;

/** Where training windows come from. */
public interface SeriesSource {
  /** Time points of training data, D; the points that will be drawn where data are always fresh. */
  double points();

  /**
   * A window of a whole number of patches.
   *
   * @param patch points a patch
   * @param least patches at least
   * @param most patches at most
   * @param random what to draw from, and from nothing else
   * @return values, NaN where nothing was observed
   */
  float[] draw(int patch, int least, int most, SplittableRandom random);
}
