package org.outrigger.evaluate.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;

class LabelShiftTest {
  private static final int[] LABELS = IntStream.range(0, 400).map(i -> i % 4).toArray();

  private static double[] shares(int[] rows) {
    double[] shares = new double[4];
    Arrays.stream(rows).forEach(row -> shares[LABELS[row]] += 1.0 / rows.length);
    return shares;
  }

  @Test
  void rowsComeWithTheFrequenciesOfTheirClasses() {
    double[] wanted = {.6, .3, 0, .1};
    int[] rows = LabelShift.rows(LABELS, wanted, 20_000, 1);
    assertThat(shares(rows)).containsExactly(wanted, within(.015));
    assertThat(LabelShift.rows(LABELS, wanted, 20_000, 1)).isEqualTo(rows);
    assertThat(LabelShift.rows(LABELS, wanted, 20_000, 2)).isNotEqualTo(rows);
  }

  @Test
  void noRowComesAgainBeforeAllOfItsClassHaveCome() {
    int[] rows = LabelShift.rows(LABELS, new double[] {1, 0, 0, 0}, 250, 3);
    assertThat(Arrays.stream(rows, 0, 100).distinct().count()).isEqualTo(100);
    assertThat(Arrays.stream(rows, 100, 200).distinct().count()).isEqualTo(100);
    assertThat(Arrays.copyOf(rows, 100)).isNotEqualTo(Arrays.copyOfRange(rows, 100, 200));
  }

  @Test
  void aViewHasTheRowsAndTheirLabels() {
    CountedRows data = new CountedRows(400, 4, true);
    IndexedDataset view = LabelShift.draw(data, LabelShift.longTail(4, 8), 640, 0);
    assertThat(view.size()).isEqualTo(640);
    int[] counts = new int[4];
    Arrays.stream(view.labels()).forEach(label -> counts[label]++);
    assertThat(counts[0]).isGreaterThan(5 * counts[3]);
  }

  @Test
  void aLongTailFallsGeometricallyAndItsReverseRises() {
    double[] forward = LabelShift.longTail(10, 20);
    double[] backward = LabelShift.longTail(10, 1 / 20.0);
    assertThat(forward[0] / forward[9]).isCloseTo(20, within(1e-9));
    assertThat(forward[3] / forward[4]).isCloseTo(forward[7] / forward[8], within(1e-9));
    assertThat(Arrays.stream(forward).sum()).isCloseTo(1, within(1e-12));
    for (int c = 0; c < 10; c++) {
      assertThat(backward[c]).isCloseTo(forward[9 - c], within(1e-12));
    }
  }

  @Test
  void zipfFrequenciesFollowTheLawAndAreNeverLeftToAFewClasses() {
    int ones = 0;
    for (int seed = 0; seed < 200; seed++) {
      double[] frequencies = LabelShift.zipf(100, 2, seed);
      assertThat(Arrays.stream(frequencies).sum()).isCloseTo(1, within(1e-9));
      double top = Arrays.stream(frequencies).sorted().skip(90).sum();
      assertThat(top).isLessThan(.9);
      double least = Arrays.stream(frequencies).min().orElseThrow();
      ones += (int) Arrays.stream(frequencies).filter(f -> f < least * 1.5).count();
    }
    // P(1) = 6 / pi^2 = 0.61; leaving out the most uneven draws makes 1 a little more frequent.
    assertThat(ones / 20_000.0).isBetween(.59, .64);
    assertThat(Arrays.stream(LabelShift.zipf(2, 2, 0)).min().orElseThrow()).isGreaterThan(.1);
  }

  @Test
  void impossibleFrequenciesAreNamed() {
    refused(() -> LabelShift.rows(LABELS, new double[] {0, 0}, 5, 0), "sum above 0");
    refused(() -> LabelShift.rows(LABELS, new double[] {1, -1, 1}, 5, 0), "0 or more");
    refused(() -> LabelShift.rows(LABELS, new double[] {Double.NaN}, 5, 0), "0 or more");
    refused(() -> LabelShift.rows(LABELS, new double[] {1, 1, 1, 1, 1}, 5, 0), "no row of class 4");
    refused(() -> LabelShift.rows(LABELS, new double[] {1}, 0, 0), "rows = 0");
    refused(() -> LabelShift.zipf(1, 2, 0), "classes");
    refused(() -> LabelShift.zipf(10, 1, 0), "exponent");
    refused(() -> LabelShift.longTail(10, 0), "imbalance");
  }

  private static void refused(Runnable work, String why) {
    assertThatThrownBy(work::run).isInstanceOf(OutriggerException.class).hasMessageContaining(why);
  }
}
