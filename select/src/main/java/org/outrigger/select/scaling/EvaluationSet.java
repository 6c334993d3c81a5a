package org.outrigger.select.scaling;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TimeSeries;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.zoo.series.PackedSeries;
import org.outrigger.core.zoo.series.SeriesTransformer;

/**
 * What a run is measured on: windows of context and horizon.
 *
 * @param name such as {@code id}
 * @param windows each of (context + horizon) patches, NaN where nothing was observed
 */
public record EvaluationSet(String name, List<float[]> windows) {
  private static final int ROWS = 128;

  public EvaluationSet {
    windows = List.copyOf(windows);
    if (windows.isEmpty()) {
      throw new OutriggerException(name + " has no window to be measured.");
    }
  }

  /** Windows of series that do not overlap. */
  public static EvaluationSet of(String name, List<TimeSeries> series, SweepSettings settings) {
    int points = (settings.context() + settings.horizon()) * settings.patch();
    return new EvaluationSet(name, SeriesPool.windows(series, points, settings.evaluations()));
  }

  private List<List<float[]>> batches() {
    List<List<float[]>> batches = new ArrayList<>();
    for (int i = 0; i < windows.size(); i += ROWS) {
      batches.add(windows.subList(i, Math.min(windows.size(), i + ROWS)));
    }
    return batches;
  }

  /**
   * The mean negative log-likelihood of the horizon; a decoder sees the true patches before each.
   */
  public double nll(SeriesTransformer network, SweepSettings settings) {
    double sum = 0;
    for (List<float[]> some : batches()) {
      sum +=
          some.size()
              * Scopes.scoped(
                  () ->
                      Scopes.grad(
                          false,
                          () ->
                              network
                                  .loss(
                                      SeriesPacking.single(
                                          some, settings.horizon(), settings.patch()))
                                  .item_double()));
    }
    return sum / windows.size();
  }

  /** The point metrics of drawn forecasts, averaged over batches by their windows. */
  public Map<String, Double> forecast(
      SeriesTransformer network, SweepSettings settings, long seed) {
    Map<String, Double> sums = new LinkedHashMap<>();
    try (Rng rng = Rng.named(seed, "forecasts of " + name)) {
      for (List<float[]> some : batches()) {
        try (PointerScope scope = new PointerScope()) {
          PackedSeries batch = SeriesPacking.single(some, settings.horizon(), settings.patch());
          Tensor drawn =
              Forecaster.sample(network, batch, settings.horizon(), settings.samples(), rng);
          ForecastMetrics.of(
                  drawn,
                  part(batch.target(), settings.context(), settings.horizon()),
                  part(batch.observed(), settings.context(), settings.horizon()),
                  part(batch.target(), 0, settings.context()),
                  part(batch.observed(), 0, settings.context()),
                  1)
              .byName()
              .forEach((metric, value) -> sums.merge(metric, value * some.size(), Double::sum));
        }
      }
    }
    sums.replaceAll((metric, sum) -> sum / windows.size());
    return sums;
  }

  private static Tensor part(Tensor patches, long start, long count) {
    return patches.narrow(1, start, count).flatten(1, 2);
  }
}
