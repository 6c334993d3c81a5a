package org.outrigger.core.metric;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class DetectionMetricsTest {
  /** Few distinct values, so that ties abound; both zeros and both infinities. */
  @Provide
  Arbitrary<double[]> scores() {
    return Arbitraries.of(
            -3.0,
            -1.0,
            -0.0,
            0.0,
            0.5,
            1.0,
            2.0,
            Double.NEGATIVE_INFINITY,
            Double.POSITIVE_INFINITY)
        .array(double[].class)
        .ofMinSize(1)
        .ofMaxSize(30);
  }

  @Property(tries = 200)
  void aurocCountsWonPairsAndHalfOfTies(
      @ForAll("scores") double[] id, @ForAll("scores") double[] ood) {
    double won = 0;
    for (double a : id) {
      for (double b : ood) {
        won += b > a ? 1 : b == a ? 0.5 : 0;
      }
    }
    assertThat(Auroc.of(id, ood)).isCloseTo(won / (id.length * ood.length), within(1e-12));
    assertThat(Auroc.of(ood, id)).isCloseTo(1 - Auroc.of(id, ood), within(1e-12));
  }

  @Property(tries = 100)
  void onlyTheOrderOfScoresCounts(@ForAll("scores") double[] id, @ForAll("scores") double[] ood) {
    DetectionMetrics before = DetectionMetrics.of(id, ood);
    assertThat(DetectionMetrics.of(map(id), map(ood))).isEqualTo(before);
  }

  private static double[] map(double[] scores) {
    return Arrays.stream(scores).map(s -> Math.atan(s) * 7 + 100).toArray();
  }

  @Property(tries = 100)
  void falsePositiveRatesAreThoseOfTheBestThreshold(
      @ForAll("scores") double[] id, @ForAll("scores") double[] ood) {
    double before = 0;
    double beforeOod = 0;
    for (double tpr : new double[] {0.05, 0.5, 0.8, 0.95, 1}) {
      double rate = Fpr.idPositive(id, ood, tpr);
      double brute =
          Arrays.stream(id)
              .filter(t -> share(id, t) >= tpr)
              .map(t -> share(ood, t))
              .min()
              .orElseThrow();
      assertThat(rate).isEqualTo(brute).isGreaterThanOrEqualTo(before);
      double t = Fpr.thresholdIdPositive(id, tpr);
      assertThat(share(ood, t)).isEqualTo(rate);
      // The other convention is the same with both kinds and the sign exchanged.
      double rateOod = Fpr.oodPositive(id, ood, tpr);
      assertThat(rateOod)
          .isEqualTo(Fpr.idPositive(negate(ood), negate(id), tpr))
          .isGreaterThanOrEqualTo(beforeOod);
      before = rate;
      beforeOod = rateOod;
    }
  }

  private static double share(double[] scores, double threshold) {
    return Arrays.stream(scores).filter(s -> s <= threshold).count() / (double) scores.length;
  }

  private static double[] negate(double[] scores) {
    return Arrays.stream(scores).map(s -> -s).toArray();
  }

  @Property(tries = 100)
  void precisionRecallOfEitherKindIsThatOfTheOtherWithTheSignExchanged(
      @ForAll("scores") double[] id, @ForAll("scores") double[] ood) {
    double in = Aupr.in(id, ood);
    assertThat(in).isEqualTo(Aupr.out(negate(ood), negate(id))).isBetween(0.0, 1.0);
  }

  @Example
  void constantScoresAreOneStep() {
    double[] id = new double[30];
    double[] ood = new double[10];
    ScoreTable scores = ScoreTable.of(id, ood);
    assertThat(DetectionMetrics.of(scores, 0.95))
        .isEqualTo(new DetectionMetrics(30, 10, 0.5, 0.875, 0.625, 0.95, 1, 1));
    assertThat(Aupr.averagePrecisionOut(scores)).isEqualTo(0.25);
    assertThat(Aupr.averagePrecisionIn(scores)).isEqualTo(0.75);
  }

  @Example
  void separatedScoresArePerfect() {
    assertThat(DetectionMetrics.of(new double[] {1, 2, 3}, new double[] {4, 5}))
        .isEqualTo(new DetectionMetrics(3, 2, 1, 1, 1, 0.95, 0, 0));
  }

  @Example
  void separatedScoresOfAnyNumberArePerfectAndNoMore() {
    for (int n = 1; n <= 200; n++) {
      double[] id = IntStream.range(0, n).mapToDouble(i -> i).toArray();
      double[] ood = {1_000};
      assertThat(Aupr.in(id, ood)).isCloseTo(1, within(1e-12)).isLessThanOrEqualTo(1);
    }
  }

  @Example
  void averagePrecisionAndTheTrapezoidDiffer() {
    ScoreTable scores = ScoreTable.of(new double[] {1, 3}, new double[] {2, 4});
    assertThat(Aupr.averagePrecisionOut(scores)).isCloseTo(0.5 + 0.5 * 2 / 3, within(1e-12));
    assertThat(Aupr.out(scores)).isCloseTo(0.5 + 0.5 * (0.5 + 2 / 3.0) / 2, within(1e-12));
  }

  @Example
  void badScoresAreNamed() {
    double[] good = {1, 2};
    assertThatThrownBy(() -> DetectionMetrics.of(new double[0], good))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no in-distribution scores");
    assertThatThrownBy(() -> DetectionMetrics.of(good, new double[0]))
        .hasMessageContaining("no out-of-distribution scores");
    assertThatThrownBy(() -> Auroc.of(good, new double[] {1, Double.NaN, Double.NaN}))
        .hasMessageContaining("2 of 3 out-of-distribution scores are NaN");
    assertThatThrownBy(() -> Fpr.idPositive(good, good, 0)).hasMessageContaining("tpr = 0.0");
    assertThatThrownBy(() -> Fpr.oodPositive(good, good, Double.NaN))
        .isInstanceOf(OutriggerException.class);
  }

  @Example
  void tensorsGiveTheSameFigures() {
    try (PointerScope scope = new PointerScope()) {
      assertThat(
              DetectionMetrics.of(
                  Tensors.of(new float[] {1, 2, 3}, 3), Tensors.of(new double[] {2, 5}, 2)))
          .isEqualTo(DetectionMetrics.of(new double[] {1, 2, 3}, new double[] {2, 5}));
      assertThatThrownBy(
              () -> Auroc.of(Tensors.of(new float[2], 1, 2), Tensors.of(new float[2], 2)))
          .hasMessageContaining("[1, 2]");
    }
  }

  @Property(tries = 100)
  void theCurveRisesFromCornerToCornerAndThinningKeepsIt(
      @ForAll("scores") double[] id, @ForAll("scores") double[] ood) {
    ScoreTable scores = ScoreTable.of(id, ood);
    List<Roc.Point> all = Roc.points(scores, 1000);
    double area = 0;
    for (int i = 1; i < all.size(); i++) {
      Roc.Point a = all.get(i - 1);
      Roc.Point b = all.get(i);
      assertThat(b.threshold()).isLessThanOrEqualTo(a.threshold());
      area +=
          (b.falsePositiveRate() - a.falsePositiveRate())
              * (a.truePositiveRate() + b.truePositiveRate())
              / 2;
    }
    assertThat(area).isCloseTo(Auroc.of(scores), within(1e-12));
    List<Roc.Point> few = Roc.points(scores, 4);
    assertThat(all).containsAll(few);
    assertThat(few).hasSizeLessThanOrEqualTo(6);
    assertThat(few.get(few.size() - 1)).isEqualTo(all.get(all.size() - 1));
  }
}
