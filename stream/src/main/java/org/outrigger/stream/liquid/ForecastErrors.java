package org.outrigger.stream.liquid;

import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/** How far forecasts are from what came, over the steps of one series or the mean over several. */
public final class ForecastErrors {
  private ForecastErrors() {}

  /** Root mean squared error over steps from .. to-1. */
  public static double rmse(double[] truth, double[] forecast, int from, int to) {
    check(truth, forecast, from, to);
    double sum = 0;
    for (int t = from; t < to; t++) {
      sum += (forecast[t] - truth[t]) * (forecast[t] - truth[t]);
    }
    return Math.sqrt(sum / (to - from));
  }

  /**
   * Mean absolute error relative to the truth, over steps from .. to-1.
   *
   * @param smallest steps with a smaller true value are left out, as the ratio says nothing there
   * @return NaN if all are
   */
  public static double mape(double[] truth, double[] forecast, int from, int to, double smallest) {
    check(truth, forecast, from, to);
    HyperParameter.notNegative("smallest", smallest);
    double sum = 0;
    int count = 0;
    for (int t = from; t < to; t++) {
      if (Math.abs(truth[t]) > smallest) {
        sum += Math.abs((forecast[t] - truth[t]) / truth[t]);
        count++;
      }
    }
    return count == 0 ? Double.NaN : sum / count;
  }

  /**
   * Time to convergence: the first step after a failure from which on the error over the last
   * {@code window} steps stays below {@code (1 + delta)} times what it was before the failure.
   *
   * @param failure the first step after the failure, at least 1
   * @param window steps of the moving error, 1 or more
   * @return steps since the failure; infinite if it never converges
   */
  public static double timeToConvergence(
      double[] truth, double[] forecast, int failure, int window, double delta) {
    check(truth, forecast, 0, truth.length);
    HyperParameter.atLeast("window", window, 1);
    HyperParameter.notNegative("delta", delta);
    HyperParameter.between("failure", failure, 1, truth.length - 1);
    double bound = (1 + delta) * rmse(truth, forecast, 0, failure);
    double since = Double.POSITIVE_INFINITY;
    for (int t = truth.length - 1; t >= failure; t--) {
      if (rmse(truth, forecast, Math.max(failure, t - window + 1), t + 1) >= bound) {
        break;
      }
      since = t - failure;
    }
    return since;
  }

  private static void check(double[] truth, double[] forecast, int from, int to) {
    if (truth.length != forecast.length || from < 0 || to > truth.length || from >= to) {
      throw new OutriggerException(
          "Steps "
              + from
              + " to "
              + to
              + " of "
              + truth.length
              + " true values and "
              + forecast.length
              + " forecasts cannot be compared.");
    }
  }
}
