package org.outrigger.select.scaling;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * How good drawn forecasts are; smaller is better. Points that were not observed do not count, and
 * a denominator of zero is replaced by one.
 *
 * @param mse mean squared error of the mean of the draws
 * @param mae mean absolute error of their median
 * @param mase the absolute error of the median over the mean absolute difference of the context's
 *     neighbouring points (at a distance of the season), averaged over series
 * @param mape the mean of |error| / |value|, as a share
 * @param smape the mean of 2 |error| / (|value| + |forecast|), from 0 to 2
 * @param crps mean weighted quantile loss at 0.1, 0.2 ... 0.9: twice the sum of the pinball losses
 *     over the sum of |value|, averaged over quantiles
 */
public record ForecastMetrics(
    double mse, double mae, double mase, double mape, double smape, double crps) {
  /**
   * Measures draws.
   *
   * @param samples [S, B, H]
   * @param truth [B, H]; what is not observed may hold anything finite
   * @param observed bool [B, H]
   * @param context [B, C], the values before, more than {@code season} of them
   * @param contextObserved bool [B, C]
   * @param season distance of the naive forecast that MASE compares with; 1 for the last value
   */
  public static ForecastMetrics of(
      Tensor samples,
      Tensor truth,
      Tensor observed,
      Tensor context,
      Tensor contextObserved,
      int season) {
    Shapes.check()
        .tensor("samples", samples, "S", "B", "H")
        .tensor("truth", truth, "B", "H")
        .tensor("observed", observed, "B", "H")
        .tensor("context", context, "B", "C")
        .tensor("contextObserved", contextObserved, "B", "C");
    Shapes.notEmpty("samples", samples);
    Shapes.finite("samples", samples);
    Shapes.finite("truth", truth);
    Shapes.finite("context", context);
    if (season < 1 || season >= context.size(1)) {
      throw new OutriggerException(
          "season = "
              + season
              + " is out of range: with a context of "
              + context.size(1)
              + " points it must be between 1 and "
              + (context.size(1) - 1)
              + ".");
    }
    return Scopes.scoped(
        () -> {
          Tensor drawn = samples.to(ScalarType.Double);
          Tensor y = truth.to(ScalarType.Double);
          Tensor mask = observed.to(ScalarType.Double);
          double points = mask.sum().item_double();
          if (points == 0) {
            throw new OutriggerException(
                "No point of the horizon was observed: there is nothing to measure.");
          }
          Tensor mean = drawn.mean(0);
          Tensor median = quantile(drawn, 0.5);
          Tensor error = y.sub(median).abs().mul(mask);
          Tensor square = y.sub(mean).pow(new Scalar(2)).mul(mask);
          Tensor size = y.abs();
          return new ForecastMetrics(
              square.sum().item_double() / points,
              error.sum().item_double() / points,
              mase(error, mask, context, contextObserved, season),
              error.div(nonZero(size)).sum().item_double() / points,
              error.mul(new Scalar(2)).div(nonZero(size.add(median.abs()))).sum().item_double()
                  / points,
              crps(drawn, y, mask));
        });
  }

  private static double mase(
      Tensor error, Tensor mask, Tensor context, Tensor contextObserved, int season) {
    long rest = context.size(1) - season;
    Tensor seen = contextObserved.to(ScalarType.Double);
    Tensor both = seen.narrow(1, season, rest).mul(seen.narrow(1, 0, rest));
    Tensor x = context.to(ScalarType.Double);
    Tensor naive =
        x.narrow(1, season, rest)
            .sub(x.narrow(1, 0, rest))
            .abs()
            .mul(both)
            .sum(1)
            .div(nonZero(both.sum(1)));
    Tensor counts = mask.sum(1);
    Tensor each = error.sum(1).div(nonZero(counts)).div(nonZero(naive));
    Tensor series = counts.gt(new Scalar(0)).to(ScalarType.Double);
    return each.mul(series).sum().item_double() / series.sum().item_double();
  }

  private static double crps(Tensor drawn, Tensor y, Tensor mask) {
    double total = Tensors.doubles(y.abs().mul(mask).sum())[0];
    double sum = 0;
    for (int i = 1; i <= 9; i++) {
      double q = i / 10.0;
      Tensor off = y.sub(quantile(drawn, q));
      Tensor pinball = torch.maximum(off.mul(new Scalar(q)), off.mul(new Scalar(q - 1))).mul(mask);
      sum += 2 * pinball.sum().item_double() / (total == 0 ? 1 : total);
    }
    return sum / 9;
  }

  private static Tensor quantile(Tensor drawn, double q) {
    return drawn.quantile(q, new LongOptional(0), false, "linear");
  }

  private static Tensor nonZero(Tensor values) {
    return torch.where(values.eq(new Scalar(0)), torch.ones_like(values), values);
  }

  /** By the names that a run table uses. */
  public Map<String, Double> byName() {
    Map<String, Double> all = new LinkedHashMap<>();
    all.put("mse", mse);
    all.put("mae", mae);
    all.put("mase", mase);
    all.put("mape", mape);
    all.put("smape", smape);
    all.put("crps", crps);
    return all;
  }
}
