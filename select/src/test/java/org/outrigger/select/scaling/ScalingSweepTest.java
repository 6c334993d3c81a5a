package org.outrigger.select.scaling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TimeSeries;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.zoo.series.PackedSeries;
import org.outrigger.core.zoo.series.SeriesTransformer;
import org.outrigger.datasets.SyntheticSeries;

class ScalingSweepTest {
  private static final SweepSettings TINY =
      SweepSettings.small()
          .withTraining(9, 2, 4, 3)
          .withEvaluation(6, 5)
          .with(Map.of("patch", "4", "tokens", "12", "minPatches", "2", "maxPatches", "8"));

  @TempDir private Path folder;

  private static SeriesPool pool() {
    return new SeriesPool(SyntheticSeries.KNOWN.series(20, 60, 1), 8);
  }

  private static List<EvaluationSet> sets() {
    return List.of(
        EvaluationSet.of("id", SyntheticSeries.KNOWN.series(3, 80, 2), TINY),
        EvaluationSet.of("ood", SyntheticSeries.SHIFTED.series(3, 80, 3), TINY));
  }

  private static ScalingSweep sweep(Path folder, SweepSettings settings) {
    return new ScalingSweep(
        ScalingSweep.grid(ModelSize.parse("8x1,16x1"), List.of(pool()), true, true, List.of(0L)),
        settings,
        sets(),
        folder,
        4);
  }

  private static final class Killed extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  @Test
  void aKilledSweepContinuesToTheLastBitAndSkipsWhatIsDone() throws IOException {
    Path whole = folder.resolve("whole");
    Path parts = folder.resolve("parts");
    RunTable once = sweep(whole, TINY).run((run, plan, steps) -> {});
    for (int kill : new int[] {3, 6, 9 + 5}) {
      int[] seen = {0};
      assertThatThrownBy(
              () ->
                  sweep(parts, TINY)
                      .run(
                          (run, plan, steps) -> {
                            if (++seen[0] == kill) {
                              throw new Killed();
                            }
                          }))
          .isInstanceOf(Killed.class);
    }
    assertThat(sweep(parts, TINY).run((run, plan, steps) -> {})).isEqualTo(once);
    for (ScalingRun.Plan plan : sweep(parts, TINY).plans()) {
      String name = plan.name() + ".safetensors";
      assertThat(parts.resolve(name)).hasSameBinaryContentAs(whole.resolve(name));
    }
    assertThat(parts.resolve("runs.csv")).hasSameBinaryContentAs(whole.resolve("runs.csv"));
    assertThat(RunTable.read(parts.resolve("runs.csv"))).isEqualTo(once);
    sweep(parts, TINY)
        .run(
            (run, plan, steps) -> {
              throw new AssertionError("a finished run was trained again");
            });
  }

  @Test
  void everyRunHasTheSameRecordsAndAllMetricsAtItsEnd() {
    RunTable runs = sweep(folder, TINY).run((run, plan, steps) -> {});
    List<RunTable.Row> one =
        runs.rows().stream()
            .filter(r -> r.architecture().equals("decoder") && r.model().equals("16x1"))
            .toList();
    assertThat(one.stream().filter(r -> r.metric().equals("nll")).map(RunTable.Row::step))
        .containsExactly(3.0, 3.0, 6.0, 6.0, 9.0, 9.0);
    assertThat(one.stream().filter(r -> r.dataset().equals("ood")).map(RunTable.Row::metric))
        .contains("mse", "mae", "mase", "mape", "smape", "crps");
    assertThat(one.get(0).compute())
        .isCloseTo(6.0 * 4 * one.get(0).parameters() * 12 * 3 / 8.64e19, within(1e-25));
  }

  @Test
  void otherSettingsDoNotContinueARun() {
    sweep(folder, TINY).run((run, plan, steps) -> {});
    assertThatThrownBy(
            () ->
                sweep(folder, TINY.with(Map.of("learningRate", "0.1")))
                    .run((run, plan, steps) -> {}))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("was begun with learningRate");
  }

  @Test
  void aFinishedNetworkForecasts() {
    ScalingSweep sweep = sweep(folder, TINY);
    sweep.run((run, plan, steps) -> {});
    ScalingRun.Plan plan = sweep.plans().get(0);
    try (SeriesTransformer network =
        ScalingRun.network(
            java.util.Objects.requireNonNull(sweep.file(plan)), plan.size(), false, TINY)) {
      assertThat(sets().get(0).forecast(network, TINY, 0).get("crps")).isGreaterThan(0);
      assertThat(sets().get(0).forecast(network, TINY, 0))
          .isEqualTo(sets().get(0).forecast(network, TINY, 0));
    }
  }

  @Test
  void onlyWeightsOfLinearLayersDecay() {
    try (SeriesTransformer network =
            SeriesTransformer.create(ModelSize.parse("8x1").get(0).config(false, TINY), 0);
        Optimiser optimiser =
            ScalingRun.optimiser(network, TINY.with(Map.of("weightDecay", "0.5")))) {
      Map<String, Tensor> p = network.parameters();
      Scopes.run(
          () -> {
            Map<String, Tensor> zero = new java.util.LinkedHashMap<>();
            Map<String, double[]> before = new java.util.LinkedHashMap<>();
            p.forEach((name, t) -> zero.put(name, torch.zeros_like(t)));
            p.forEach((name, t) -> before.put(name, Tensors.doubles(t)));
            optimiser.step(zero);
            p.forEach(
                (name, t) -> {
                  boolean linear =
                      name.matches(".*(proj|fc1|fc2|fc_gate|df|loc|scale|logits)\\.weight");
                  assertThat(java.util.Arrays.equals(Tensors.doubles(t), before.get(name)))
                      .as(name)
                      .isEqualTo(!linear);
                });
          });
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void trainingDoesNotGrow(boolean decoder) {
    SweepSettings settings = TINY.withTraining(1000, 2, 4, 1).withEvaluation(6, 0);
    ScalingRun.Plan plan = new ScalingRun.Plan(ModelSize.parse("8x1").get(0), decoder, pool(), 0);
    double[] at = new double[2];
    new ScalingRun(
            plan,
            settings,
            sets(),
            null,
            1,
            step -> {
              // Before that the JVM's own heap still grows.
              if (step == 400) {
                at[0] = ResidentMemory.megabytes();
              } else if (step == 990) {
                at[1] = ResidentMemory.megabytes();
              }
            })
        .run();
    assertThat(at[1] - at[0]).isLessThan(25);
  }

  @Test
  void forecastsDoNotLookAtTheHorizon() {
    Scopes.run(
        () -> {
          for (boolean decoder : new boolean[] {false, true}) {
            try (SeriesTransformer network =
                    SeriesTransformer.create(
                        ModelSize.parse("8x1").get(0).config(decoder, TINY), 0);
                Rng one = new Rng(1);
                Rng two = new Rng(1)) {
              List<float[]> windows = new ArrayList<>(sets().get(0).windows());
              PackedSeries batch = SeriesPacking.single(windows, 2, 4);
              Tensor drawn = Forecaster.sample(network, batch, 2, 7, one);
              assertThat(drawn.shape()).containsExactly(7, windows.size(), 8);
              batch.target().narrow(1, 8, 2).fill_(new Scalar(1000));
              assertThat(Tensors.floats(Forecaster.sample(network, batch, 2, 7, two)))
                  .isEqualTo(Tensors.floats(drawn));
            }
          }
        });
  }

  @Test
  void metricsAreWhatTheyAreByHand() {
    Scopes.run(
        () -> {
          Tensor samples = Tensors.of(new double[] {1, 3, 3, 5, 5, 4}, 3, 1, 2);
          Tensor truth = Tensors.of(new double[] {4, 0}, 1, 2);
          Tensor context = Tensors.of(new double[] {1, 3, 2}, 1, 3);
          Tensor all = torch.ones_like(truth).to(ScalarType.Bool);
          Tensor seen = torch.ones_like(context).to(ScalarType.Bool);
          ForecastMetrics m = ForecastMetrics.of(samples, truth, all, context, seen, 1);
          // Means 3 and 4, medians 3 and 4.
          assertThat(m.mse()).isCloseTo((1 + 16) / 2.0, within(1e-12));
          assertThat(m.mae()).isCloseTo(2.5, within(1e-12));
          assertThat(m.mase()).isCloseTo(2.5 / 1.5, within(1e-12));
          assertThat(m.mape()).isCloseTo((0.25 + 4) / 2, within(1e-12));
          assertThat(m.smape()).isCloseTo((2.0 / 7 + 2) / 2, within(1e-12));
          assertThat(m.crps()).isGreaterThan(0);
          Tensor certain = truth.unsqueeze(0).expand(3, 1, 2);
          ForecastMetrics exact = ForecastMetrics.of(certain, truth, all, context, seen, 1);
          assertThat(exact.byName().values()).allMatch(value -> value == 0);
        });
  }

  @Test
  void unobservedPointsDoNotCount() {
    float[] gap = {1, 2, 3, Float.NaN, 5, 6, 7, Float.NaN};
    Scopes.run(
        () -> {
          PackedSeries packed = SeriesPacking.single(List.of(gap), 1, 4);
          assertThat(Tensors.floats(packed.target())).containsExactly(1, 2, 3, 0, 5, 6, 7, 0);
          assertThat(packed.observed().sum().item_long()).isEqualTo(6);
        });
  }

  @Test
  void smallerAmountsOfDataArePartOfLargerOnes() {
    List<TimeSeries> all = SyntheticSeries.KNOWN.series(5, 30, 0);
    List<TimeSeries> some = SeriesPool.first(all, 70);
    assertThat(some).hasSize(3);
    assertThat(some.get(2).values()).isEqualTo(all.get(2).part(0, 10).values());
    assertThat(new SeriesPool(some, 8).points()).isEqualTo(70);
    assertThatThrownBy(() -> SeriesPool.first(all, 151))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("150 points, not 151");
    assertThatThrownBy(() -> new SeriesPool(all, 64))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("No series has 64 points");
  }

  @Test
  void sharesAndSizesAreChecked() {
    assertThat(SeriesPacking.predicted(10, 0.2)).isEqualTo(2);
    assertThat(SeriesPacking.predicted(2, 0.15)).isEqualTo(1);
    assertThatThrownBy(() -> SeriesPacking.predicted(1, 0.5))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("takes 2");
    assertThatThrownBy(() -> ModelSize.parse("10Q"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no model size");
    assertThatThrownBy(() -> SweepSettings.small().with(Map.of("stepz", "1")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Did you mean steps");
    assertThatThrownBy(() -> SweepSettings.small().with(Map.of("lowest", "2")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("out of range");
    assertThat(ModelSize.ladder()).hasSize(11);
  }
}
