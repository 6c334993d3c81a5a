package org.outrigger.stream.liquid;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Forecasters on the same stream with a failure in it. Steps count by when a forecast is made:
 * those up to the failure, those from it until an incrementally trained network has been trained on
 * what came after it, and the rest.
 *
 * @param truth [links][steps] as they came
 * @param failure the first step after the failure
 * @param refitted the first step after that training
 * @param horizon steps ahead
 * @param rows one a forecaster
 */
public record LinkComparison(
    double[][] truth, int failure, int refitted, int horizon, List<Row> rows) {
  /** Steps of the moving error by which convergence is judged. */
  private static final int MOVING = 12;

  /** How far above the error before the failure counts as converged. */
  private static final double DELTA = 0.5;

  private static final double SMALLEST = 1e-3;

  /**
   * The errors of one forecaster.
   *
   * @param forecasts [links][steps], by when they are made
   * @param before root mean squared error of forecasts before the failure
   * @param first from the failure until the training
   * @param later from there on
   * @param overall from the failure on
   * @param mape mean relative error from the failure on; NaN if all loads are about 0
   * @param convergence steps from the failure until the moving error stays below 1.5 times that
   *     before it, the mean over the links; infinite if one never does
   */
  public record Row(
      String name,
      double[][] forecasts,
      double before,
      double first,
      double later,
      double overall,
      double mape,
      double convergence) {
    /** The figures by name, for JSON; what is infinite or NaN is left out. */
    public Map<String, Object> toJson() {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("name", name);
      all.put("before", before);
      all.put("first", first);
      all.put("later", later);
      all.put("overall", overall);
      if (Double.isFinite(mape)) {
        all.put("mape", mape);
      }
      if (Double.isFinite(convergence)) {
        all.put("convergence", convergence);
      }
      return all;
    }
  }

  /** The name of the row that repeats the last load. */
  public static final String PERSISTENCE = "persistence";

  /** The name of the row that is the adaptive forecaster first and the incremental one later. */
  public static final String HYBRID = "hybrid";

  /**
   * Lets forecasters, all fitted, follow a stream; adds persistence, and a hybrid that is the first
   * adaptive forecaster until the refit and the incremental one after it.
   *
   * @param adaptive by name, with the horizon of {@code incremental}
   * @param loads [S, T]
   * @param elapsed [T] or null
   * @param failure the first step after the failure
   */
  public static LinkComparison of(
      Map<String, LinkForecaster> adaptive,
      IncrementalForecaster incremental,
      Tensor loads,
      @Nullable Tensor elapsed,
      int failure) {
    int horizon = incremental.horizon();
    int steps = Math.toIntExact(loads.size(1));
    int every = incremental.refitEvery();
    int refitted = (failure + every - 1) / every * every;
    refitted = refitted == failure ? failure + every : refitted;
    HyperParameter.between("failure", failure, horizon + 1, steps - 1);
    if (refitted + horizon >= steps) {
      throw new OutriggerException(
          "The stream ends at step "
              + steps
              + ", before the network is trained again at step "
              + refitted
              + " and the horizon has passed: give a longer stream.");
    }
    double[][] truth = Tensors.rows(loads);
    Map<String, double[][]> made = new LinkedHashMap<>();
    adaptive.forEach((name, forecaster) -> made.put(name, follow(forecaster, loads, elapsed)));
    double[][] trained = follow(incremental, loads, elapsed);
    made.put("incremental", trained);
    double[][] first = made.values().iterator().next();
    int until = refitted;
    made.put(
        HYBRID,
        IntStream.range(0, truth.length)
            .mapToObj(
                s ->
                    IntStream.range(0, steps)
                        .mapToDouble(t -> t < until ? first[s][t] : trained[s][t])
                        .toArray())
            .toArray(double[][]::new));
    made.put(PERSISTENCE, truth);
    List<Row> rows =
        made.entrySet().stream()
            .map(e -> row(e.getKey(), truth, e.getValue(), failure, until, horizon))
            .toList();
    return new LinkComparison(truth, failure, refitted, horizon, rows);
  }

  private static double[][] follow(
      LinkForecaster forecaster, Tensor loads, @Nullable Tensor elapsed) {
    forecaster.begin();
    return Scopes.scoped(() -> Tensors.rows(forecaster.follow(loads, elapsed)));
  }

  /** The row of that name. */
  public Row row(String name) {
    return rows.stream()
        .filter(row -> row.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new OutriggerException("There is no forecaster '" + name + "'."));
  }

  private static Row row(
      String name, double[][] truth, double[][] forecasts, int failure, int refitted, int horizon) {
    int steps = truth[0].length - horizon;
    double convergence =
        IntStream.range(0, truth.length)
            .mapToDouble(
                s ->
                    ForecastErrors.timeToConvergence(
                        ahead(truth[s], horizon),
                        Arrays.copyOf(forecasts[s], steps),
                        failure,
                        MOVING,
                        DELTA))
            .average()
            .orElse(Double.NaN);
    double mape =
        IntStream.range(0, truth.length)
            .mapToDouble(
                s ->
                    ForecastErrors.mape(
                        ahead(truth[s], horizon),
                        Arrays.copyOf(forecasts[s], steps),
                        failure,
                        steps,
                        SMALLEST))
            .filter(Double::isFinite)
            .average()
            .orElse(Double.NaN);
    return new Row(
        name,
        forecasts,
        rmse(truth, forecasts, horizon, 0, failure),
        rmse(truth, forecasts, horizon, failure, refitted),
        rmse(truth, forecasts, horizon, refitted, steps),
        rmse(truth, forecasts, horizon, failure, steps),
        mape,
        convergence);
  }

  /** What came {@code horizon} steps later. */
  private static double[] ahead(double[] truth, int horizon) {
    return Arrays.copyOfRange(truth, horizon, truth.length);
  }

  private static double rmse(
      double[][] truth, double[][] forecasts, int horizon, int from, int to) {
    double squares = 0;
    for (int s = 0; s < truth.length; s++) {
      double error =
          ForecastErrors.rmse(
              ahead(truth[s], horizon),
              Arrays.copyOf(forecasts[s], truth[s].length - horizon),
              from,
              to);
      squares += error * error;
    }
    return Math.sqrt(squares / truth.length);
  }
}
