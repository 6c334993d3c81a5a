package org.outrigger.select.scaling;

/** What is spent: the horizontal axis of a scaling law. */
public enum Axis {
  /** Parameters of the transformer's stack. */
  N("parameters"),
  /** Time points in the training data. */
  D("data points"),
  /** Compute: {@code 6 N tokens} floating-point operations, in PF-days. */
  C("PF-days");

  /** Floating-point operations of one day at 10^15 a second. */
  public static final double PF_DAY = 8.64e19;

  private final String unit;

  Axis(String unit) {
    this.unit = unit;
  }

  public String unit() {
    return unit;
  }

  /**
   * Compute in PF-days: 6 operations for each parameter and token.
   *
   * @param parameters N
   * @param batch sequences a step
   * @param tokens of a sequence
   * @param steps so far
   */
  public static double compute(double parameters, double batch, double tokens, double steps) {
    return 6 * batch * parameters * tokens * steps / PF_DAY;
  }
}
