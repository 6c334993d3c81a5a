package org.outrigger.stream.liquid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.datasets.LinkLoads;

class LinkComparisonTest {
  private static IncrementalForecaster.Settings quick() {
    return IncrementalForecaster.Settings.of(LinkLoads.PERIOD, 6, 1).withEpochs(60, 60);
  }

  @Test
  void theIncrementalNetworkIsWrongUntilItIsTrainedAgain() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        IncrementalForecaster incremental = new IncrementalForecaster(quick());
        IncrementalForecaster other = new IncrementalForecaster(quick())) {
      Tensor quiet = LinkLoads.quiet(4, 5, 1);
      incremental.fit(quiet, null);
      other.fit(quiet, null);
      Tensor loads = LinkLoads.failing(1, 2, 3, LinkLoads.Failure.DRASTIC, 2);
      int failure = 2 * LinkLoads.PERIOD;
      LinkComparison compared =
          LinkComparison.of(Map.of("again", other), incremental, loads, null, failure);
      assertThat(compared.refitted()).isEqualTo(3 * LinkLoads.PERIOD);
      LinkComparison.Row trained = compared.row("incremental");
      assertThat(trained.first()).isGreaterThan(2 * trained.later());
      assertThat(trained.first()).isGreaterThan(2 * trained.before());
      // The same network in both places is its own hybrid.
      assertThat(compared.row(LinkComparison.HYBRID).overall()).isEqualTo(trained.overall());
      LinkComparison.Row still = compared.row(LinkComparison.PERSISTENCE);
      assertThat(still.forecasts()).isDeepEqualTo(compared.truth());
      assertThatThrownBy(
              () -> LinkComparison.of(Map.of("again", other), incremental, loads, null, 4 * 48))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("longer stream");
    }
  }

  @Test
  void anIncrementalNetworkTakesAStreamInPieces() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        IncrementalForecaster incremental = new IncrementalForecaster(quick())) {
      Tensor loads = LinkLoads.quiet(2, 3, 1);
      assertThatThrownBy(incremental::begin).hasMessageContaining("not fitted");
      incremental.fit(loads, null);
      double[] whole = Tensors.doubles(incremental.follow(loads, null));
      incremental.begin();
      double[] first = Tensors.doubles(incremental.follow(loads.narrow(1, 0, 70), null));
      double[] rest = Tensors.doubles(incremental.follow(loads.narrow(1, 70, 74), null));
      for (int t = 0; t < 144; t++) {
        double got = t < 70 ? first[t] : rest[t - 70];
        assertThat(got).isCloseTo(whole[t], within(1e-6));
      }
    }
  }

  @Test
  void errorsAreThoseOfTheirDefinitions() {
    double[] truth = {0, 2, 4, 4, 4, 4};
    double[] forecast = {0, 1, 4, 8, 4, 4};
    assertThat(ForecastErrors.rmse(truth, forecast, 0, 2)).isEqualTo(Math.sqrt(0.5));
    assertThat(ForecastErrors.mape(truth, forecast, 0, 4, 0)).isEqualTo((0.5 + 0 + 1) / 3);
    assertThat(ForecastErrors.mape(truth, forecast, 0, 1, 0)).isNaN();
    // The moving error of 2 steps is above 1.5 x sqrt(0.5) while it holds the step that is off.
    assertThat(ForecastErrors.timeToConvergence(truth, forecast, 2, 2, 0.5)).isEqualTo(3);
    double[] never = {0, 1, 4, 4, 4, 9};
    assertThat(ForecastErrors.timeToConvergence(truth, never, 2, 1, 0.5)).isInfinite();
    assertThatThrownBy(() -> ForecastErrors.rmse(truth, forecast, 3, 3))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void gapsAreFilledOrTakeLonger() {
    double nan = Double.NaN;
    Gaps gaps =
        Gaps.close(
            new double[][] {{1, 2}, {nan, 3}, {nan, nan}, {4, nan}}, new double[] {0, 1, 2, 3});
    assertThat(gaps.loads()).isDeepEqualTo(new double[][] {{1, 2}, {1, 3}, {4, 3}});
    assertThat(gaps.elapsed()).containsExactly(1, 1, 2);
    assertThat(gaps.filled()).isEqualTo(2);
    assertThat(gaps.left()).isEqualTo(1);
    assertThatThrownBy(() -> Gaps.close(new double[][] {{1, nan}}, new double[] {0}))
        .hasMessageContaining("no value at the first step");
    assertThatThrownBy(() -> Gaps.close(new double[][] {{1}, {2}}, new double[] {1, 1}))
        .hasMessageContaining("sort");
  }
}
