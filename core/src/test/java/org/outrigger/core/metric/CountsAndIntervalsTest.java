package org.outrigger.core.metric;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class CountsAndIntervalsTest {
  @Property(tries = 50)
  void mergedPartsGiveWhatOnePassGives(@ForAll long seed, @ForAll @IntRange(max = 30) int cut) {
    Random random = new Random(seed);
    int[] predictions = random.ints(30, 0, 4).toArray();
    int[] labels = random.ints(30, 0, 4).toArray();
    ConfusionMatrix whole = new ConfusionMatrix(4).add(predictions, labels);
    ConfusionMatrix merged = new ConfusionMatrix(4);
    Accuracy accuracy = new Accuracy();
    for (int[] range : new int[][] {{0, cut}, {cut, 30}}) {
      int[] p = IntStream.range(range[0], range[1]).map(i -> predictions[i]).toArray();
      int[] y = IntStream.range(range[0], range[1]).map(i -> labels[i]).toArray();
      merged.merge(new ConfusionMatrix(4).add(p, y));
      accuracy.merge(new Accuracy().add(p, y));
    }
    assertThat(merged.counts()).isDeepEqualTo(whole.counts());
    assertThat(merged.total()).isEqualTo(30);
    assertThat(accuracy.value()).isEqualTo(whole.accuracy());
  }

  @Example
  void recallAndPrecisionPerClass() {
    ConfusionMatrix matrix =
        new ConfusionMatrix(3).add(new int[] {0, 0, 1, 1}, new int[] {0, 1, 1, 1});
    assertThat(matrix.recall(0)).isEqualTo(1);
    assertThat(matrix.recall(1)).isCloseTo(2 / 3.0, within(1e-12));
    assertThat(matrix.recall(2)).isNaN();
    assertThat(matrix.precision(0)).isEqualTo(0.5);
    assertThat(matrix.f1(1)).isCloseTo(0.8, within(1e-12));
    assertThat(matrix.balancedAccuracy()).isCloseTo((1 + 2 / 3.0) / 2, within(1e-12));
  }

  @Example
  void badLabelsChangeNothing() {
    ConfusionMatrix matrix = new ConfusionMatrix(2);
    assertThatThrownBy(() -> matrix.add(new int[] {0, 1}, new int[] {1, 2}))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Label 2");
    assertThat(matrix.total()).isZero();
    assertThatThrownBy(() -> new Accuracy().value()).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> new Accuracy().add(new int[1], new int[2]))
        .isInstanceOf(OutriggerException.class);
  }

  @Example
  void unknownInputsHaveNoRightClass() {
    try (PointerScope scope = new PointerScope()) {
      Accuracy accuracy =
          new Accuracy()
              .add(Tensors.of(new double[][] {{1, 0}, {0, 1}, {1, 0}}), Tensors.labels(0, 0, -1));
      assertThat(accuracy.count()).isEqualTo(2);
      assertThat(accuracy.value()).isEqualTo(0.5);
      assertThat(new Accuracy().add(new int[] {0, 1, 0}, new int[] {0, 0, -1}).value())
          .isEqualTo(0.5);
    }
  }

  @Property(tries = 30)
  void bootstrapIntervalsCoverTheEstimateAndRepeat(@ForAll @IntRange(max = 1000) int seed) {
    Random random = new Random(seed);
    double[] id = random.doubles(60).toArray();
    double[] ood = random.doubles(40).map(x -> x + 0.3).toArray();
    ScoreTable scores = ScoreTable.of(id, ood);
    Bootstrap bootstrap = new Bootstrap(300, 0.95, seed);
    Interval interval = bootstrap.detection(scores, Auroc::of);
    assertThat(interval.estimate())
        .isEqualTo(Auroc.of(id, ood))
        .isBetween(interval.low(), interval.high());
    assertThat(interval.high() - interval.low()).isBetween(0.02, 0.4);
    assertThat(bootstrap.detection(scores, Auroc::of)).isEqualTo(interval);
    Interval narrower = new Bootstrap(300, 0.5, seed).detection(scores, Auroc::of);
    assertThat(narrower.low()).isGreaterThan(interval.low());
    Interval mean = bootstrap.mean(id);
    assertThat(mean.estimate()).isBetween(mean.low(), mean.high());
  }

  @Example
  void bootstrapSpreadIsThatOfTheoryForAMean() {
    double[] values = new Random(1).ints(400, 0, 2).asDoubleStream().toArray();
    Interval interval = new Bootstrap(2000, 0.95, 3).mean(values);
    assertThat(interval.high() - interval.low()).isCloseTo(2 * 1.96 * 0.5 / 20, within(0.01));
  }

  @Example
  void ratesAgreeWithPublishedIntervals() {
    // Newcombe, Statistics in Medicine 1998, table I: 81 of 263.
    Interval wilson = Rate.wilson(81, 263, 0.95);
    assertThat(wilson.low()).isCloseTo(0.2553, within(5e-5));
    assertThat(wilson.high()).isCloseTo(0.3662, within(5e-5));
    Interval exact = Rate.clopperPearson(81, 263, 0.95);
    assertThat(exact.low()).isCloseTo(0.2527, within(5e-5));
    assertThat(exact.high()).isCloseTo(0.3676, within(5e-5));
    assertThat(Rate.wilson(0, 20, 0.95).low()).isZero();
    assertThat(Rate.clopperPearson(0, 20, 0.95).high()).isCloseTo(0.1684, within(5e-5));
    assertThat(Rate.clopperPearson(20, 20, 0.95).high()).isEqualTo(1);
    assertThatThrownBy(() -> Rate.wilson(1, 0, 0.95)).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> Rate.wilson(1, 2, 1)).isInstanceOf(OutriggerException.class);
  }

  @Example
  void quantilesInterpolate() {
    assertThat(Quantiles.of(new double[] {4, 1, 3, 2}, 0.5)).isEqualTo(2.5);
    assertThat(Quantiles.of(new double[] {1, Double.POSITIVE_INFINITY}, 0)).isEqualTo(1);
    assertThatThrownBy(() -> Quantiles.of(new double[0], 0.5))
        .isInstanceOf(OutriggerException.class);
  }
}
