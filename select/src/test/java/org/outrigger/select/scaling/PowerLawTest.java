package org.outrigger.select.scaling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.Interval;

class PowerLawTest {
  private static final double[] X = {872, 7032, 100_928, 302_656, 1_771_712, 4_747_264};

  @TempDir private Path folder;

  private static double[] losses(double alpha, double log10X0, double offset) {
    return Arrays.stream(X)
        .map(x -> offset + Math.pow(10, alpha * (log10X0 - Math.log10(x))))
        .toArray();
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.029, 0.227, -0.08, 0.0004})
  void anExactLawIsRecovered(double alpha) {
    PowerLaw law = PowerLaw.fit(X, losses(alpha, 16, 0));
    assertThat(law.alpha()).isCloseTo(alpha, within(1e-9));
    assertThat(law.log10X0()).isCloseTo(16, within(1e-7));
    assertThat(law.r2()).isCloseTo(1, within(1e-9));
    assertThat(law.sizeFor(law.at(5e8)) / 5e8).isCloseTo(1, within(1e-6));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1.2, 0.1, -0.9})
  void anIrreducibleLossIsRecoveredEvenBelowZero(double offset) {
    PowerLaw law = PowerLaw.fitIrreducible(X, losses(0.3, 4, offset));
    assertThat(law.offset()).isCloseTo(offset, within(1e-5));
    assertThat(law.alpha()).isCloseTo(0.3, within(1e-4));
    assertThat(law.sizeFor(offset - 0.1)).isNaN();
  }

  @Test
  void theIntervalCoversTheTrueExponent() {
    int covered = 0;
    for (int trial = 0; trial < 100; trial++) {
      SplittableRandom random = new SplittableRandom(trial);
      double[] y = losses(0.05, 16, 0);
      Arrays.setAll(y, i -> y[i] * Math.pow(10, 0.02 * (random.nextDouble() - 0.5)));
      FittedLaw law = new TsfmScaling().fit(X, y);
      if (law.alpha().low() <= 0.05 && 0.05 <= law.alpha().high()) {
        covered++;
      }
      assertThat(law.alpha().low()).isLessThan(law.law().alpha());
    }
    assertThat(covered).isBetween(80, 100);
  }

  @Test
  void bandsWidenBeyondTheRunsAndTheSameSeedGivesTheSame() {
    double[] y = losses(0.05, 16, 0);
    Arrays.setAll(y, i -> y[i] * (i % 2 == 0 ? 1.01 : 0.99));
    FittedLaw law = new TsfmScaling().fit(X, y);
    Interval near = law.at(1e5);
    Interval far = law.at(1e10);
    assertThat(far.high() / far.low()).isGreaterThan(near.high() / near.low());
    Interval size = law.sizeFor(law.law().at(1e7));
    assertThat(size.low()).isLessThan(1e7);
    assertThat(size.high()).isGreaterThan(1e7);
    assertThat(new TsfmScaling().fit(X, y).slopes()).isEqualTo(law.slopes());
  }

  @Test
  void whatDeterminesNoLawIsRefused() {
    double[] three = {1, 10, 100};
    refused(new double[] {1, 2}, new double[] {1, 2}, "at least 3");
    refused(three, new double[] {1, 2}, "do not belong together");
    refused(three, new double[] {1, 0, 2}, "irreducible");
    refused(three, new double[] {1, Double.NaN, 2}, "diverged");
    refused(new double[] {5, 5, 5}, three, "different sizes");
    refused(new double[] {0, 5, 7}, three, "above 0");
    assertThatThrownBy(() -> PowerLaw.fitIrreducible(three, three))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("at least 4");
    assertThatThrownBy(() -> TsfmScaling.runLoss(new double[] {1, 2}, 3))
        .isInstanceOf(OutriggerException.class);
    assertThat(TsfmScaling.runLoss(new double[] {4, 1, 3}, 2)).isEqualTo(2);
  }

  private static void refused(double[] x, double[] y, String words) {
    assertThatThrownBy(() -> PowerLaw.fit(x, y))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining(words);
  }

  @Test
  void adviceNamesTheSizeAndWarns() throws IOException {
    ScalingStudy.Curve falling = curve(losses(0.05, 16, 0));
    double target = falling.fitted().law().at(1e9);
    assertThat(ScalingAdvice.target(falling, target))
        .contains("needs about 1.0G parameters", "Warning: this is far outside");
    assertThat(ScalingAdvice.target(falling, falling.fitted().law().at(1e6)))
        .contains("reach already");
    ScalingStudy.Curve rising = curve(losses(-0.05, 16, 0));
    assertThat(ScalingAdvice.trend(rising)).contains("grows", "-0.05");
    assertThat(ScalingAdvice.target(rising, 0.1)).contains("not reached");
    double[] flat = {2, 2.1, 1.9, 2.05, 1.95, 2.02};
    assertThat(ScalingAdvice.trend(curve(flat))).contains("contains 0");
  }

  private ScalingStudy.Curve curve(double[] y) throws IOException {
    StringBuilder text = new StringBuilder("parameters,loss\n");
    for (int i = 0; i < X.length; i++) {
      text.append(X[i]).append(',').append(y[i]).append('\n');
    }
    Path file = Files.writeString(folder.resolve("runs.csv"), text);
    return new TsfmScaling().study(RunTable.read(file)).only(Axis.N).laws().get(0);
  }

  @Test
  void eachAxisUsesTheLargestOfTheOther() {
    List<RunTable.Row> rows = new java.util.ArrayList<>();
    for (double n : new double[] {1e3, 1e4, 1e5}) {
      for (double d : new double[] {1e6, 1e7, 1e8}) {
        double loss = Math.pow(1e12 / n, 0.1) * Math.pow(1e12 / d, 0.05);
        for (int record = 1; record <= 2; record++) {
          rows.add(
              new RunTable.Row(
                  "encoder",
                  "m" + n,
                  "0",
                  n,
                  d,
                  record,
                  Double.NaN,
                  n * record,
                  "id",
                  "nll",
                  loss * (3 - record)));
        }
      }
    }
    ScalingStudy study = new TsfmScaling().study(new RunTable(rows));
    assertThat(study.only(Axis.N).laws().get(0).fitted().x()).hasSize(3);
    assertThat(study.only(Axis.N).laws().get(0).fitted().law().alpha())
        .isCloseTo(0.1, within(1e-9));
    assertThat(study.only(Axis.D).laws().get(0).fitted().law().alpha())
        .isCloseTo(0.05, within(1e-9));
    assertThat(study.only(Axis.C).laws()).hasSize(1);
    assertThat(study.only(Axis.N).laws().get(0).held()).isEqualTo("100M data points");
  }

  @Test
  void negativeLossesAreReportedNotDropped() {
    List<RunTable.Row> rows = new java.util.ArrayList<>();
    for (double n : new double[] {1e3, 1e4, 1e5, 1e6}) {
      rows.add(
          new RunTable.Row(
              "a", "m", "0", n, Double.NaN, 1, 1, Double.NaN, "id", "nll", 1 - Math.log10(n) / 4));
    }
    ScalingStudy study = new TsfmScaling().study(new RunTable(rows));
    assertThat(study.laws()).isEmpty();
    assertThat(study.curves().get(0).problem()).contains("has no logarithm");
    TsfmScaling.Settings settings = new TsfmScaling.Settings(1, true, 200, 0.9, 0);
    assertThat(new TsfmScaling(settings).study(new RunTable(rows)).laws()).hasSize(1);
  }

  @Test
  void tablesSurviveAFileAndBadOnesAreRefused() throws IOException {
    RunTable table =
        new RunTable(
            List.of(
                new RunTable.Row(
                    "a,b",
                    "say \"x\"",
                    "0",
                    872,
                    Double.NaN,
                    1,
                    1,
                    2.5e-13,
                    "id",
                    "nll",
                    1 / 3.0)));
    table.write(folder.resolve("t.csv"));
    assertThat(RunTable.read(folder.resolve("t.csv"))).isEqualTo(table);
    Path none = Files.writeString(folder.resolve("n.csv"), "size,loss\n1,2\n");
    assertThatThrownBy(() -> RunTable.read(none))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("says nothing of size");
    Path gap = Files.writeString(folder.resolve("g.csv"), "parameters,loss\n1,2\n10,\n");
    assertThatThrownBy(() -> RunTable.read(gap))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Row 2");
  }
}
