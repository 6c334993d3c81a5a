package org.outrigger.core.metric;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class CalibrationIntervalsTest {
  private static final int N = 400;

  private final double[][] probabilities = new double[N][3];
  private final int[] labels = new int[N];

  CalibrationIntervalsTest() {
    SplittableRandom random = new SplittableRandom(3);
    for (int i = 0; i < N; i++) {
      // Coarse values, so that confidences tie; too sure by far.
      double a = random.nextInt(1, 20);
      double b = random.nextInt(1, 8);
      double c = random.nextInt(1, 4);
      probabilities[i] = new double[] {a / (a + b + c), b / (a + b + c), c / (a + b + c)};
      labels[i] = random.nextInt(3);
    }
  }

  @Test
  void everyFigureIsThatOfTheWholeSample() {
    CalibrationIntervals intervals =
        CalibrationIntervals.of(probabilities, labels, 15, new Bootstrap(50, 0.95, 1));
    CalibrationMetrics metrics = CalibrationMetrics.of(probabilities, labels, 15);
    TopLabel top = TopLabel.of(probabilities, labels);
    check(intervals, "accuracy", metrics.accuracy());
    check(intervals, "ece", metrics.ece());
    check(intervals, "mce", metrics.mce());
    check(intervals, "rmsce", metrics.rmsce());
    check(intervals, "rmsceDebiased", new EceAccumulator(15).add(top).rmsceDebiased());
    check(intervals, "ace", metrics.ace());
    check(intervals, "eceEqualMass", metrics.eceEqualMass());
    check(intervals, "classwiseEce", metrics.classwiseEce());
    check(intervals, "ks", metrics.ks());
    check(intervals, "brierSum", metrics.brierSum());
    check(intervals, "brierTopLabel", Calibration.brierTopLabel(top));
    check(intervals, "nll", metrics.nll());
    check(intervals, "aurc", metrics.aurc());
    check(intervals, "excessAurc", metrics.excessAurc());
    check(intervals, "aurocOfConfidence", metrics.aurocOfConfidence());
    assertThat(intervals.intervals()).hasSize(15);
  }

  private static void check(CalibrationIntervals intervals, String name, double value) {
    Interval interval = intervals.of(name);
    assertThat(interval.estimate()).as(name).isCloseTo(value, within(1e-12));
    assertThat(interval.low()).as(name).isLessThan(interval.high());
  }

  @Test
  void aResampleIsTheSampleWithItsRowsRepeated() {
    SplittableRandom random = new SplittableRandom(9);
    int[] counts = new int[N];
    double[][] repeated = new double[N][];
    int[] repeatedLabels = new int[N];
    for (int i = 0; i < N; i++) {
      counts[random.nextInt(N)]++;
    }
    int at = 0;
    for (int i = 0; i < N; i++) {
      for (int copy = 0; copy < counts[i]; copy++) {
        repeated[at] = probabilities[i];
        repeatedLabels[at++] = labels[i];
      }
    }
    WeightedRows rows = new WeightedRows(probabilities, labels, 7);
    CalibrationMetrics metrics = CalibrationMetrics.of(repeated, repeatedLabels, 7);
    var figures = rows.figures(counts);
    assertThat(figures.get("ece")).isCloseTo(metrics.ece(), within(1e-12));
    assertThat(figures.get("eceEqualMass")).isCloseTo(metrics.eceEqualMass(), within(1e-12));
    assertThat(figures.get("ks")).isCloseTo(metrics.ks(), within(1e-12));
    assertThat(figures.get("nll")).isCloseTo(metrics.nll(), within(1e-12));
    assertThat(figures.get("aurc")).isCloseTo(metrics.aurc(), within(1e-12));
    assertThat(figures.get("aurocOfConfidence"))
        .isCloseTo(metrics.aurocOfConfidence(), within(1e-12));
    assertThat(rows.classwiseEce(counts)).isCloseTo(metrics.classwiseEce(), within(1e-12));
  }

  @Test
  void sameSeedSameIntervals() {
    Bootstrap bootstrap = new Bootstrap(30, 0.9, 5);
    assertThat(CalibrationIntervals.of(probabilities, labels, 15, bootstrap))
        .isEqualTo(CalibrationIntervals.of(probabilities, labels, 15, bootstrap));
  }
}
