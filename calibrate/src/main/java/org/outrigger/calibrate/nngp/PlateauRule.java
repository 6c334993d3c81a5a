package org.outrigger.calibrate.nngp;

/**
 * Halves the learning rate when a validation loss has not improved for some checks in a row, and
 * ends when the rate is below a floor.
 */
final class PlateauRule {
  private static final double FLOOR = 1e-4;

  private final int patience;
  private double rate;
  private double best = Double.POSITIVE_INFINITY;
  private int bad;

  /**
   * @param rate the first learning rate
   * @param patience checks without improvement before it is halved
   */
  PlateauRule(double rate, int patience) {
    this.rate = rate;
    this.patience = patience;
  }

  /** Takes a validation loss; whether it is the best so far. */
  boolean check(double loss) {
    if (loss < best) {
      best = loss;
      bad = 0;
      return true;
    }
    bad++;
    if (bad >= patience) {
      rate /= 2;
      bad = 0;
    }
    return false;
  }

  double rate() {
    return rate;
  }

  boolean ended() {
    return rate < FLOOR;
  }
}
