package org.outrigger.claims.stream;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Measurements;
import org.outrigger.claims.Scale;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.datasets.LinkLoads;
import org.outrigger.datasets.LinkLoads.Failure;
import org.outrigger.stream.liquid.IncrementalForecaster;
import org.outrigger.stream.liquid.LinkComparison;
import org.outrigger.stream.liquid.LinkForecaster;
import org.outrigger.stream.liquid.LiquidForecaster;

/** A liquid network follows re-routed traffic until the incremental one has been trained again. */
public final class LiquidOnFailingLinks implements Claim {
  private static final int HORIZON = 6;

  @Override
  public String slug() {
    return "liquid-link-load";
  }

  @Override
  public Room room() {
    return Room.STREAM;
  }

  @Override
  public String title() {
    return "A liquid network follows re-routed traffic without being trained again";
  }

  @Override
  public String promise() {
    return "After a drastic failure the carried state of a liquid network follows at once, while"
        + " incremental learning is wrong until its next training; after a moderate one incremental"
        + " learning may be better, and a hybrid is best.";
  }

  @Override
  public String paper() {
    return "Liquid Neural Network-based Adaptive Learning vs. Incremental Learning for Link Load"
        + " Prediction amid Concept Drift due to Network Failures, arXiv 2404.05304, 2024";
  }

  @Override
  public List<Long> seeds() {
    return List.of(0L, 1L, 2L, 3L);
  }

  @Override
  public List<Inequality> statement() {
    List<Inequality> all = new ArrayList<>();
    all.add(
        Inequality.below("drastic, first period, cfc", 1, "drastic, first period, incremental"));
    all.add(
        Inequality.below("drastic, first period, ltc", 1, "drastic, first period, incremental"));
    all.add(
        new Inequality(
            "moderate, first period, incremental",
            Inequality.Relation.AT_MOST,
            1,
            "moderate, first period, liquid"));
    all.add(Inequality.below("drastic, later, incremental", 1, "drastic, later, cfc"));
    all.add(Inequality.below("drastic, later, incremental", 1, "drastic, later, ltc"));
    for (String other : List.of("incremental", "cfc", "ltc", "persistence")) {
      all.add(Inequality.below("drastic, overall, hybrid", 1, "drastic, overall, " + other));
    }
    return all;
  }

  /** Both liquid networks are ahead in the first period in every seed; the rest is of the means. */
  @Override
  public Finding holds(Measurements measured) {
    Finding means = Claim.super.holds(measured);
    List<String> missed = new ArrayList<>();
    double[] incremental = measured.values("drastic, first period, incremental");
    for (String cell : List.of("cfc", "ltc")) {
      double[] liquid = measured.values("drastic, first period, " + cell);
      for (int i = 0; i < liquid.length; i++) {
        if (!(liquid[i] < incremental[i])) {
          missed.add(
              cell
                  + " "
                  + Measurements.number(liquid[i])
                  + " not < "
                  + Measurements.number(incremental[i]));
        }
      }
    }
    return missed.isEmpty()
        ? means
        : new Finding(false, means.words() + "; in every seed: " + String.join(", ", missed));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "incremental learning: a network over 12 lags and the time of day, trained on the same"
            + " links, and again once a period on the last two periods",
        "persistence: the last load");
  }

  @Override
  public String protocol() {
    return "Eight links with daily waves of 48 steps, ten days, noise of 0.02, train one network of"
        + " closed-form cells (24 units, 80 epochs) and one of liquid time-constant cells"
        + " (16 units, 30 epochs), Adam 1e-2, to forecast 6 steps ahead. Another link is"
        + " followed for four days until a failure and four after it: drastic (wave x2 to"
        + " 2.5, level +0.3 to 0.4 of capacity, later phase) or moderate (x1 to 1.2, +0.02"
        + " to 0.05). Figures are root mean squared errors of forecasts made in the first"
        + " day after the failure, before the incremental network is trained again, and"
        + " later; liquid is the mean of both cells; the hybrid is the closed-form network"
        + " until the training and the incremental one after it.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    LiquidForecaster.Settings cfc =
        LiquidForecaster.Settings.defaults()
            .withHorizon(HORIZON)
            .withEpochs(scale.pick(80, 1))
            .withSeed(seed);
    LiquidForecaster.Settings ltc = cfc.withCell(LiquidForecaster.Cell.LTC, 16, scale.pick(30, 1));
    IncrementalForecaster.Settings often =
        IncrementalForecaster.Settings.of(LinkLoads.PERIOD, HORIZON, seed);
    return Scopes.scoped(
        () -> {
          try (LinkForecaster closed = new LiquidForecaster(cfc);
              LinkForecaster solved = new LiquidForecaster(ltc);
              IncrementalForecaster incremental =
                  new IncrementalForecaster(scale == Scale.FULL ? often : often.withEpochs(2, 2))) {
            Tensor quiet = LinkLoads.quiet(scale.pick(8, 2), scale.pick(10, 3), seed);
            Map<String, LinkForecaster> liquid = new LinkedHashMap<>();
            liquid.put("cfc", closed);
            liquid.put("ltc", solved);
            liquid.values().forEach(forecaster -> forecaster.fit(quiet, null));
            incremental.fit(quiet, null);
            Map<String, Double> figures = new LinkedHashMap<>();
            for (Failure failure : List.of(Failure.DRASTIC, Failure.MODERATE)) {
              put(figures, failure, liquid, incremental, seed, scale.pick(4, 2));
            }
            return figures;
          }
        });
  }

  private static void put(
      Map<String, Double> figures,
      Failure failure,
      Map<String, LinkForecaster> liquid,
      IncrementalForecaster incremental,
      long seed,
      int periods) {
    Tensor loads = LinkLoads.failing(1, periods, periods, failure, seed);
    LinkComparison compared =
        LinkComparison.of(liquid, incremental, loads, null, periods * LinkLoads.PERIOD);
    String name = failure.name().toLowerCase(java.util.Locale.ROOT);
    compared
        .rows()
        .forEach(row -> figures.put(name + ", first period, " + row.name(), row.first()));
    figures.put(
        name + ", first period, liquid",
        (compared.row("cfc").first() + compared.row("ltc").first()) / 2);
    compared.rows().forEach(row -> figures.put(name + ", later, " + row.name(), row.later()));
    compared.rows().forEach(row -> figures.put(name + ", overall, " + row.name(), row.overall()));
  }
}
