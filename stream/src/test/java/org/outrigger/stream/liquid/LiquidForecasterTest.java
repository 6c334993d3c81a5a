package org.outrigger.stream.liquid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LiquidForecasterTest {
  private static LiquidForecaster.Settings small(LiquidForecaster.Cell cell) {
    return LiquidForecaster.Settings.defaults()
        .withCell(cell, 8, 2)
        .withPeriod(12)
        .withHorizon(2)
        .withSeed(3);
  }

  private static Tensor loads(int links, int steps, long seed) {
    try (Rng rng = new Rng(seed)) {
      return rng.uniform(ScalarType.Double, links, steps);
    }
  }

  private static double[] follow(LinkForecaster forecaster, Tensor loads) {
    return Tensors.doubles(forecaster.follow(loads, null));
  }

  @ParameterizedTest
  @EnumSource
  void aStreamMayComeInPiecesOfAnyLength(LiquidForecaster.Cell cell) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        LiquidForecaster forecaster = new LiquidForecaster(small(cell))) {
      forecaster.fit(loads(2, 40, 1), null);
      Tensor stream = loads(3, 20, 2);
      Tensor whole = forecaster.follow(stream, null);
      assertThat(whole.shape()).containsExactly(3, 20);
      forecaster.begin();
      for (int t = 0; t < 20; t++) {
        double[] step = follow(forecaster, stream.narrow(1, t, 1));
        double[] expected = Tensors.doubles(whole.select(1, t));
        for (int s = 0; s < 3; s++) {
          assertThat(step[s]).isCloseTo(expected[s], within(1e-5));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aSavedForecasterContinuesToTheLastBit(LiquidForecaster.Cell cell, @TempDir Path folder) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        LiquidForecaster forecaster = new LiquidForecaster(small(cell));
        LiquidForecaster restored = new LiquidForecaster(small(cell))) {
      forecaster.fit(loads(2, 40, 1), null);
      forecaster.follow(loads(3, 7, 2), null);
      Path file = folder.resolve("f.safetensors");
      StateFiles.write(file, forecaster.state());
      restored.restore(StateFiles.read(file));
      for (int i = 0; i < 3; i++) {
        Tensor more = loads(3, 5, 10 + i);
        assertThat(follow(restored, more)).containsExactly(follow(forecaster, more));
      }
    }
  }

  @Test
  void theSameSeedLearnsTheSame() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        LiquidForecaster one = new LiquidForecaster(small(LiquidForecaster.Cell.CFC));
        LiquidForecaster same = new LiquidForecaster(small(LiquidForecaster.Cell.CFC));
        LiquidForecaster other =
            new LiquidForecaster(small(LiquidForecaster.Cell.CFC).withSeed(4))) {
      Tensor quiet = loads(2, 40, 1);
      for (LiquidForecaster each : List.of(one, same, other)) {
        each.fit(quiet, null);
      }
      Tensor stream = loads(1, 9, 2);
      double[] expected = follow(one, stream);
      assertThat(follow(same, stream)).containsExactly(expected);
      assertThat(follow(other, stream)).isNotEqualTo(expected);
    }
  }

  @Test
  void irregularTimesChangeTheForecastAndAMissingStepIsALongerOne() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        LiquidForecaster forecaster = new LiquidForecaster(small(LiquidForecaster.Cell.CFC))) {
      Tensor quiet = loads(2, 40, 1);
      Tensor slower = torch.full(new long[] {40}, new Scalar(1.5)).to(ScalarType.Double);
      forecaster.fit(quiet, slower);
      Tensor stream = loads(1, 6, 2);
      double[] regular = follow(forecaster, stream);
      forecaster.begin();
      Tensor ones = torch.ones(6).to(ScalarType.Double);
      assertThat(Tensors.doubles(forecaster.follow(stream, ones))).containsExactly(regular);
      forecaster.begin();
      Tensor gap = Tensors.of(new double[] {1, 1, 1, 4, 1, 1}, 6);
      double[] late = Tensors.doubles(forecaster.follow(stream, gap));
      for (int t = 0; t < 3; t++) {
        assertThat(late[t]).isCloseTo(regular[t], within(1e-6));
      }
      assertThat(late[3]).isNotEqualTo(regular[3]);
    }
  }

  @Test
  void aSineIsLearnedBetterThanItsLastValue() {
    Torch.start();
    double[] truth = new double[96];
    java.util.Arrays.setAll(truth, t -> Math.sin(2 * Math.PI * t / 12));
    try (PointerScope scope = new PointerScope();
        LiquidForecaster forecaster =
            new LiquidForecaster(
                small(LiquidForecaster.Cell.CFC)
                    .withCell(LiquidForecaster.Cell.CFC, 12, 60)
                    .withHorizon(3))) {
      Tensor series = Tensors.of(truth, 1, truth.length);
      forecaster.fit(series, null);
      forecaster.begin();
      double[] forecast = follow(forecaster, series);
      int steps = truth.length - 3;
      double[] ahead = java.util.Arrays.copyOfRange(truth, 3, truth.length);
      double error = ForecastErrors.rmse(ahead, forecast(forecast, steps), 24, steps);
      double persistence = ForecastErrors.rmse(ahead, forecast(truth, steps), 24, steps);
      assertThat(error).isLessThan(0.5 * persistence);
    }
  }

  private static double[] forecast(double[] values, int steps) {
    return java.util.Arrays.copyOf(values, steps);
  }

  @Test
  void badInputChangesNothing() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        LiquidForecaster forecaster = new LiquidForecaster(small(LiquidForecaster.Cell.CFC));
        LiquidForecaster other =
            new LiquidForecaster(small(LiquidForecaster.Cell.CFC).withHorizon(3))) {
      Tensor quiet = loads(2, 40, 1);
      assertThatThrownBy(() -> forecaster.follow(quiet, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("not fitted");
      assertThatThrownBy(() -> forecaster.fit(quiet.narrow(1, 0, 25), null))
          .hasMessageContaining("25 steps, but a window and its horizon take 26");
      forecaster.fit(quiet, null);
      forecaster.follow(quiet.narrow(1, 0, 5), null);
      State before = forecaster.state();
      double[] state = Tensors.doubles(before.tensor("state"));
      assertThatThrownBy(() -> forecaster.follow(quiet.div(new Scalar(0.0)), null))
          .hasMessageContaining("Gaps");
      assertThatThrownBy(() -> forecaster.follow(loads(3, 4, 2), null))
          .hasMessageContaining("follows 2 links, not 3");
      assertThatThrownBy(() -> forecaster.follow(quiet, torch.zeros(40).to(ScalarType.Double)))
          .hasMessageContaining("above 0");
      assertThatThrownBy(() -> other.restore(before)).hasMessageContaining("other settings");
      for (String name : before.tensors().keySet()) {
        if (!name.equals("state")) {
          Map<String, Tensor> fewer = new LinkedHashMap<>(before.tensors());
          fewer.remove(name);
          assertThatThrownBy(
                  () -> forecaster.restore(new State(before.type(), 1, before.values(), fewer)))
              .as(name)
              .isInstanceOf(OutriggerException.class);
        }
      }
      assertThat(Tensors.doubles(forecaster.state().tensor("state"))).containsExactly(state);
      assertThatThrownBy(
              () ->
                  Methods.create(LiquidForecaster.class, "liquid-link-load", Map.of("burnIn", 100)))
          .hasMessageContaining("burnIn = 100 is out of range");
    }
  }

  @Test
  void followingDoesNotGrowMemory() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        LiquidForecaster forecaster = new LiquidForecaster(small(LiquidForecaster.Cell.CFC))) {
      forecaster.fit(loads(2, 40, 1), null);
      double start = 0;
      for (int i = 0; i < 1500; i++) {
        try (PointerScope inner = new PointerScope()) {
          forecaster.follow(loads(2, 1, i), null);
        }
        if (i == 500) {
          start = ResidentMemory.megabytes();
        }
      }
      assertThat(ResidentMemory.megabytes() - start).isLessThan(32);
    }
  }
}
