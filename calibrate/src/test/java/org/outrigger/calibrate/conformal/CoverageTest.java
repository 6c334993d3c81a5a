package org.outrigger.calibrate.conformal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * What is promised, measured: 2,000 times a calibration set of 100 rows and 20 new rows. Given the
 * calibration set, the coverage of a split conformal set is Beta(k, n + 1 - k), k = ceil((n + 1)(1
 * - alpha)); so the mean over repetitions is k / (n + 1) with a known standard error, and four of
 * these are allowed.
 */
class CoverageTest {
  private static final int TIMES = 2000;
  private static final int HELD = 100;
  private static final int NEW = 20;
  private static final double ALPHA = 0.1;

  private PointerScope scope;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  static Stream<LabelScore> scores() {
    return Stream.of(
        LabelScore.lac(),
        new LabelScore(LabelScore.Kind.APS, true, 0, 0, 3),
        new LabelScore(LabelScore.Kind.APS, false, 0, 0, 0),
        new LabelScore(LabelScore.Kind.RAPS, true, 1, 0.1, 3));
  }

  private static Tensor byRepetition(Tensor rows) {
    return rows.view(TIMES, HELD + NEW);
  }

  private static Tensor held(Tensor rows) {
    return byRepetition(rows).narrow(1, 0, HELD);
  }

  private static Tensor fresh(Tensor rows) {
    return byRepetition(rows).narrow(1, HELD, NEW);
  }

  /** Four standard errors of the mean coverage. */
  private static double band(double k) {
    double n = HELD;
    double mean = k / (n + 1);
    double variance = k * (n + 1 - k) / ((n + 1) * (n + 1) * (n + 2));
    double within = (mean * (1 - mean) - variance) / NEW;
    return 4 * Math.sqrt((variance + within) / TIMES);
  }

  private static double mean(Tensor booleans) {
    return booleans.to(ScalarType.Double).mean().item_double();
  }

  @ParameterizedTest
  @MethodSource("scores")
  void coverageIsWhatTheBetaLawSays(LabelScore score) {
    Simulation rows = Simulation.draw((long) TIMES * (HELD + NEW), 11);
    Tensor s = rows.scores(score);
    Tensor q = ConformalQuantile.of(held(s), ALPHA);
    double coverage = mean(fresh(s).le(q.unsqueeze(1)));
    double k = ConformalQuantile.rank(HELD, ALPHA);
    // 91 / 101 = 0.901, give or take 0.0065.
    assertThat(coverage).isCloseTo(k / (HELD + 1), within(band(k)));
  }

  @Test
  void coverageHoldsWithinEveryClass() {
    Simulation rows = Simulation.draw((long) TIMES * (HELD + NEW), 12);
    Tensor s = rows.scores(LabelScore.lac());
    Tensor labels = rows.labels();
    Tensor q = ConformalQuantile.byClass(held(s), held(labels), Simulation.CLASSES, ALPHA);
    Tensor covered = fresh(s).le(torch.gather(q, 1, fresh(labels)));
    Tensor plain = fresh(s).le(ConformalQuantile.of(held(s), ALPHA).unsqueeze(1));
    double worstPlain = 1;
    for (long c = 0; c < Simulation.CLASSES; c++) {
      Tensor mine = fresh(labels).eq(new Scalar(c));
      double count = mine.sum().item_double();
      double coverage = covered.logical_and(mine).sum().item_double() / count;
      worstPlain = Math.min(worstPlain, plain.logical_and(mine).sum().item_double() / count);
      Tensor sizes = held(labels).eq(new Scalar(c)).sum(1).to(ScalarType.Double);
      double above = sizes.add(new Scalar(1.0)).reciprocal().mean().item_double();
      // The rows of a class in one repetition share a threshold: allow as if it had one row.
      double band = 4 * Math.sqrt(0.09 / Math.min(count, TIMES));
      assertThat(coverage).isBetween(0.9 - band, 0.9 + above + band);
    }
    // Without it the rare class is covered far less.
    assertThat(worstPlain).isLessThan(0.85);
  }

  @Test
  void knownWeightsRestoreCoverageUnderCovariateShift() {
    Simulation pool = Simulation.draw(400_000, 13);
    Simulation known = pool.rows(0, (long) TIMES * HELD);
    Simulation shifted = pool.resample(pool.hardness(), (long) TIMES * NEW, 14);
    Tensor s = known.scores(LabelScore.lac()).view(TIMES, HELD);
    Tensor weights = known.hardness().view(TIMES, HELD);
    Tensor added = shifted.hardness().view(TIMES, NEW);
    Tensor q = ConformalQuantile.weighted(s, weights, added, ALPHA);
    Tensor fresh = shifted.scores(LabelScore.lac()).view(TIMES, NEW);
    double plain = mean(fresh.le(ConformalQuantile.of(s, ALPHA).unsqueeze(1)));
    assertThat(plain).isLessThan(0.87);
    assertBetweenBounds(mean(fresh.le(q)), weights, added);
  }

  @Test
  void knownClassSharesRestoreCoverageUnderLabelShift() {
    Simulation pool = Simulation.draw(400_000, 15);
    Simulation known = pool.rows(0, (long) TIMES * HELD);
    // The rarest class becomes the commonest.
    Tensor factors = Tensors.of(new double[] {0.3, 0.7, 1.5, 6}, Simulation.CLASSES);
    Simulation shifted =
        pool.resample(factors.index_select(0, pool.labels()), (long) TIMES * NEW, 16);
    Tensor s = known.scores(LabelScore.lac()).view(TIMES, HELD);
    Tensor weights = factors.index_select(0, known.labels()).view(TIMES, HELD);
    Tensor tried = factors.unsqueeze(0).expand(TIMES, Simulation.CLASSES).contiguous();
    Tensor q = ConformalQuantile.weighted(s, weights, tried, ALPHA);
    Tensor fresh = shifted.scores(LabelScore.lac()).view(TIMES, NEW);
    Tensor labels = shifted.labels().view(TIMES, NEW);
    double plain = mean(fresh.le(ConformalQuantile.of(s, ALPHA).unsqueeze(1)));
    assertThat(plain).isLessThan(0.87);
    assertBetweenBounds(
        mean(fresh.le(torch.gather(q, 1, labels))),
        weights,
        factors.index_select(0, shifted.labels()).view(TIMES, NEW));
  }

  /** 1 - alpha at least, and at most the largest share of one weight more. */
  private static void assertBetweenBounds(double coverage, Tensor weights, Tensor added) {
    Tensor total = weights.sum(1).unsqueeze(1).add(added);
    Tensor largest =
        torch.maximum(weights.amax(new long[] {1}, true).expand_as(added), added).div(total);
    double band = 4 * Math.sqrt(2 * 0.09 / TIMES);
    assertThat(coverage)
        .isBetween(1 - ALPHA - band, 1 - ALPHA + largest.mean().item_double() + band);
  }

  @Test
  void theRiskExceedsAlphaAtMostAsOftenAsDelta() {
    int held = 200;
    double delta = 0.1;
    Tensor s = Simulation.draw((long) TIMES * held, 17).scores(LabelScore.lac()).view(TIMES, held);
    int misses = RiskBounds.mostMisses(held, ALPHA, delta);
    assertThat(misses).isBetween(5, 18);
    Tensor q = torch.kthvalue(s, held - misses, 1, false).get0();
    Tensor pool = torch.sort(Simulation.draw(400_000, 18).scores(LabelScore.lac())).get0();
    Tensor risks =
        torch
            .searchsorted(pool, q)
            .to(ScalarType.Double)
            .div(new Scalar(-400_000.0))
            .add(new Scalar(1.0));
    double above = mean(risks.gt(new Scalar(ALPHA)));
    assertThat(above).isLessThan(delta + 4 * Math.sqrt(delta * (1 - delta) / TIMES));
    // It is no vain bound: the mean risk is not far below alpha.
    assertThat(risks.mean().item_double()).isGreaterThan(0.04);
  }

  @Test
  void theErrorOfAcceptedAnswersExceedsTheRiskAtMostAsOftenAsDelta() {
    SplittableRandom random = new SplittableRandom(19);
    double delta = 0.1;
    double risk = 0.15;
    int exceeded = 0;
    double coverage = 0;
    for (int t = 0; t < TIMES; t++) {
      double[] confidence = new double[300];
      boolean[] right = new boolean[300];
      for (int i = 0; i < 300; i++) {
        // Right as often as the root of the confidence: what counts is the order alone.
        confidence[i] = random.nextDouble();
        right[i] = random.nextDouble() < Math.sqrt(confidence[i]);
      }
      SelectiveRisk.Choice choice =
          SelectiveRisk.choose(new TopLabel(confidence, right), risk, delta);
      coverage += choice.coverage() / TIMES;
      double from = Math.min(1, choice.threshold());
      double truth = from == 1 ? 0 : 1 - (2.0 / 3) * (1 - Math.pow(from, 1.5)) / (1 - from);
      exceeded += truth > risk ? 1 : 0;
    }
    assertThat(exceeded / (double) TIMES)
        .isLessThan(delta + 4 * Math.sqrt(delta * (1 - delta) / TIMES));
    assertThat(coverage).isGreaterThan(0.1);
  }
}
