package org.outrigger.core.method;

import org.outrigger.core.OutriggerException;

/** Range checks for hyper-parameters: the message names the parameter, the value and the range. */
public final class HyperParameter {
  private HyperParameter() {}

  public static void positive(String name, double value) {
    require(value > 0 && !Double.isInfinite(value), name, value, "a finite number above 0");
  }

  public static void notNegative(String name, double value) {
    require(value >= 0 && !Double.isInfinite(value), name, value, "a finite number of 0 or more");
  }

  public static void atLeast(String name, long value, long least) {
    require(value >= least, name, value, least + " or more");
  }

  /** Demands low <= value <= high. */
  public static void between(String name, double value, double low, double high) {
    require(value >= low && value <= high, name, value, "between " + low + " and " + high);
  }

  /** Demands low < value < high. */
  public static void inside(String name, double value, double low, double high) {
    require(value > low && value < high, name, value, "above " + low + " and below " + high);
  }

  public static void require(boolean ok, String name, Object value, String range) {
    if (!ok) {
      throw new OutriggerException(
          "Hyper-parameter "
              + name
              + " = "
              + value
              + " is out of range: it must be "
              + range
              + ".");
    }
  }
}
