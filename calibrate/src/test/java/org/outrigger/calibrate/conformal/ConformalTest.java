package org.outrigger.calibrate.conformal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.commons.statistics.distribution.BinomialDistribution;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What is special about single conformal predictors. */
class ConformalTest {
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

  // -- scores and quantiles

  @Test
  void scoresOfARowByHand() {
    Tensor p = Tensors.of(new double[] {0.2, 0.5, 0.2, 0.1}, 1, 4);
    Tensor u = Tensors.of(new double[] {0.5}, 1);
    assertThat(Tensors.doubles(Lac.scores(p)))
        .containsExactly(new double[] {0.8, 0.5, 0.8, 0.9}, within(1e-15));
    assertThat(Tensors.doubles(Aps.scores(p, u)))
        .containsExactly(new double[] {0.6, 0.25, 0.8, 0.95}, within(1e-15));
    assertThat(Tensors.doubles(Raps.scores(p, u, 2, 0.1)))
        .containsExactly(new double[] {0.6, 0.25, 0.9, 1.15}, within(1e-15));
    assertThat(Tensors.doubles(LabelScore.ranks(p))).containsExactly(2, 1, 3, 4);
  }

  @Test
  void theRankIsNotRoundedUpPastAWholeNumber() {
    assertThat(ConformalQuantile.rank(9, 0.1)).isEqualTo(9);
    assertThat(ConformalQuantile.rank(99, 0.1)).isEqualTo(90);
    assertThat(ConformalQuantile.rank(100, 0.1)).isEqualTo(91);
    assertThat(ConformalQuantile.rank(8, 0.1)).isEqualTo(9);
    for (double alpha : new double[] {0.01, 0.05, 0.1, 0.2, 1.0 / 3, 0.5}) {
      long fewest = ConformalQuantile.fewest(alpha);
      assertThat(ConformalQuantile.rank(fewest, alpha)).isLessThanOrEqualTo(fewest);
      assertThat(ConformalQuantile.rank(fewest - 1, alpha)).isGreaterThan(fewest - 1);
    }
  }

  @Test
  void equalWeightsGiveTheUnweightedQuantile() {
    try (Rng rng = new Rng(1)) {
      for (long n : new long[] {1, 5, 8, 9, 10, 59, 99, 100, 999}) {
        Tensor s = rng.normal(ScalarType.Double, n);
        for (double alpha : new double[] {0.05, 0.1, 0.25}) {
          for (double weight : new double[] {1, 0.3, 7}) {
            Tensor w = torch.full_like(s, new Scalar(weight));
            double q = ConformalQuantile.weighted(s, w, w.narrow(0, 0, 1), alpha).item_double();
            assertThat(q).isEqualTo(ConformalQuantile.of(s, alpha).item_double());
          }
        }
      }
    }
  }

  @Test
  void quantilesByClassAreThoseOfTheClassesRows() {
    Simulation rows = Simulation.draw(200, 2);
    Tensor s = rows.scores(LabelScore.lac());
    double[] by =
        Tensors.doubles(ConformalQuantile.byClass(s, rows.labels(), Simulation.CLASSES + 1, 0.1));
    for (long c = 0; c < Simulation.CLASSES; c++) {
      Tensor mine = rows.labels().eq(new Scalar(c)).nonzero().squeeze(1);
      assertThat(by[(int) c])
          .isEqualTo(ConformalQuantile.of(s.index_select(0, mine), 0.1).item_double());
    }
    assertThat(by[Simulation.CLASSES]).isInfinite();
    // One class alone, with too few rows: all of them are in use, and still it is infinite.
    Tensor few = s.narrow(0, 0, 8);
    assertThat(
            ConformalQuantile.byClass(few, torch.zeros_like(few).to(ScalarType.Long), 1, 0.1)
                .item_double())
        .isInfinite();
  }

  @Test
  void aRowThatOutweighsTheOthersGetsAllLabels() {
    Tensor s = Tensors.of(new double[] {0.1, 0.2, 0.3}, 3);
    Tensor w = Tensors.of(new double[] {1, 1, 1}, 3);
    Tensor added = Tensors.of(new double[] {0, 0.1, 1, 100, Double.POSITIVE_INFINITY}, 5);
    assertThat(Tensors.doubles(ConformalQuantile.weighted(s, w, added, 0.1)))
        .containsExactly(
            0.3, 0.3, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY);
    assertThat(ConformalQuantile.effectiveSize(w)).isEqualTo(3);
    assertThat(ConformalQuantile.effectiveSize(Tensors.of(new double[] {1, 0, 0}, 3))).isEqualTo(1);
  }

  @Test
  void theNumberOfARowStaysWhereLastDigitsDiffer() {
    Simulation rows = Simulation.draw(2000, 3);
    double[] u = Tensors.doubles(LabelScore.draws(rows.probabilities(), 5));
    Tensor single = rows.probabilities().to(ScalarType.Float).to(ScalarType.Double);
    double[] rounded = Tensors.doubles(LabelScore.draws(single, 5));
    double[] other = Tensors.doubles(LabelScore.draws(rows.probabilities(), 6));
    int moved = 0;
    for (int i = 0; i < u.length; i++) {
      moved += u[i] == rounded[i] ? 0 : 1;
      assertThat(u[i]).isNotEqualTo(other[i]);
    }
    assertThat(moved).isLessThan(5);
    assertThat(Arrays.stream(u).distinct().count()).isGreaterThan(1990);
    assertThat(Arrays.stream(u).average().orElseThrow()).isCloseTo(0.5, within(0.03));
  }

  // -- single predictors

  @Test
  void emptySetsGetTheLikeliestLabelWhereTheyAreNotAllowed() {
    Tensor p = Tensors.of(new double[] {0.4, 0.4, 0.2, 0.1, 0.2, 0.7}, 2, 3);
    Tensor sets = torch.zeros_like(p).to(ScalarType.Bool);
    sets.select(0, 1).fill_(new Scalar(1.0));
    assertThat(Tensors.doubles(SplitConformal.withTop(sets, p))).containsExactly(1, 0, 0, 1, 1, 1);
  }

  @Test
  void rapsChoosesWhatIsNotGiven() {
    Simulation rows = Simulation.draw(1000, 4);
    try (Raps chosen = new Raps();
        Raps given = new Raps(new Raps.Settings(0.1, 1, 0.3, 0.2, true, true, 0))) {
      chosen.fit(rows.probabilities(), rows.labels(), null);
      given.fit(rows.probabilities(), rows.labels(), null);
      assertThat(chosen.kReg()).isBetween(2, 4);
      assertThat(chosen.lambda()).isIn(0.001, 0.01, 0.1, 0.2, 0.5);
      assertThat(chosen.promise()).contains("800 held-out");
      assertThat(given.kReg()).isEqualTo(1);
      assertThat(given.lambda()).isEqualTo(0.3);
      assertThat(given.promise()).contains("1000 held-out");
    }
    assertThatThrownBy(() -> new Raps.Settings(0.1, 1, -0.5, 0.2, true, true, 0))
        .hasMessageContaining("lambda = -0.5 is out of range: it must be 0 or more, or -1");
  }

  @Test
  void theRegressionFindsTheRatioOfTwoNormalLaws() {
    // Of N(1, 1) to N(0, 1) it is exp(x - 1/2).
    try (Rng rng = new Rng(5);
        CovariateShiftConformal predictor = new CovariateShiftConformal()) {
      long n = 4000;
      Tensor x = rng.normal(ScalarType.Double, n, 1);
      Tensor goal = rng.normal(ScalarType.Double, 2 * n, 1).add(new Scalar(1.0));
      Simulation rows = Simulation.draw(n, 6);
      predictor.target(goal);
      predictor.fit(rows.probabilities(), rows.labels(), x);
      Tensor at = Tensors.of(new double[] {-1, 0, 1, 2}, 4, 1);
      double[] w = Tensors.doubles(predictor.weights(at));
      for (int i = 0; i < 4; i++) {
        assertThat(Math.log(w[i])).isCloseTo((i - 1) - 0.5, within(0.15));
      }
      // (E w)^2 / E w^2 = exp(-1).
      assertThat(predictor.effectiveSize() / n).isCloseTo(Math.exp(-1), within(0.06));
    }
  }

  @Test
  void theRegressionsGradientIsZeroAtItsSolution() {
    try (Rng rng = new Rng(7)) {
      Tensor held = rng.normal(ScalarType.Double, 40, 3);
      Tensor goal = rng.normal(ScalarType.Double, 30, 3).add(new Scalar(3.0));
      double l2 = 0.01;
      Tensor w = DomainClassifier.fit(held, goal, l2).clone().requires_grad_(true);
      Tensor x = torch.cat(new TensorVector(held, goal), 0);
      Tensor z = x.mv(w.narrow(0, 0, 3)).add(w.narrow(0, 3, 1));
      Tensor right = torch.cat(new TensorVector(z.narrow(0, 0, 40).neg(), z.narrow(0, 40, 30)), 0);
      Tensor loss =
          torch
              .log_sigmoid(right)
              .mean()
              .neg()
              .add(w.narrow(0, 0, 3).square().sum().mul(new Scalar(l2 / 2)));
      Tensor gradient = org.outrigger.core.torch.Gradients.of(loss, w);
      assertThat(gradient.abs().amax().item_double()).isLessThan(1e-9);
    }
  }

  @Test
  void estimatedWeightsRestoreCoverage() {
    Simulation pool = Simulation.draw(30_000, 8);
    Simulation known = pool.rows(0, 2000);
    Simulation shifted = pool.resample(pool.hardness(), 6000, 9);
    try (CovariateShiftConformal predictor = new CovariateShiftConformal();
        Lac plain = new Lac()) {
      predictor.target(shifted.features().narrow(0, 0, 2000));
      predictor.fit(known.probabilities(), known.labels(), known.features());
      plain.fit(known.probabilities(), known.labels(), null);
      Simulation test = shifted.rows(2000, 4000);
      double corrected =
          ConformalEvaluation.of(
                  predictor.sets(test.probabilities(), test.features()), test.labels(), 0.9)
              .coverage()
              .estimate();
      double uncorrected =
          ConformalEvaluation.of(plain.sets(test.probabilities(), null), test.labels(), 0.9)
              .coverage()
              .estimate();
      assertThat(uncorrected).isLessThan(0.87);
      assertThat(corrected).isCloseTo(0.9, within(0.025));
      assertThatThrownBy(() -> predictor.sets(test.probabilities(), null))
          .hasMessageContaining("needs the features");
    }
  }

  @Test
  void knownWeightsNeedNoTarget() {
    Simulation rows = Simulation.draw(200, 10);
    Tensor ones = torch.ones(new long[] {200}, rows.probabilities().options());
    try (CovariateShiftConformal predictor = new CovariateShiftConformal();
        Lac plain = new Lac()) {
      assertThatThrownBy(() -> predictor.fit(rows.probabilities(), rows.labels(), rows.features()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("call target");
      predictor.fitWith(rows.probabilities(), rows.labels(), ones);
      plain.fit(rows.probabilities(), rows.labels(), null);
      assertThat(
              torch.equal(
                  predictor.setsWith(rows.probabilities(), ones),
                  plain.sets(rows.probabilities(), null)))
          .isTrue();
      assertThatThrownBy(() -> predictor.sets(rows.probabilities(), rows.features()))
          .hasMessageContaining("setsWith");
      assertThatThrownBy(() -> predictor.fitWith(rows.probabilities(), rows.labels(), ones.neg()))
          .hasMessageContaining("0 or more");
      assertThatThrownBy(
              () -> predictor.fitWith(rows.probabilities(), rows.labels(), torch.zeros_like(ones)))
          .hasMessageContaining("all 0");
    }
  }

  @Test
  void theClassMixOfTheTargetIsEstimated() {
    Simulation pool = Simulation.draw(60_000, 11);
    Simulation known = pool.rows(0, 20_000);
    double[] factors = {0.3, 0.7, 1.5, 6};
    Tensor factor = Tensors.of(factors, 4);
    Simulation shifted = pool.resample(factor.index_select(0, pool.labels()), 20_000, 12);
    Tensor shares =
        torch.one_hot(pool.labels(), 4).to(ScalarType.Double).mean(new long[] {0}, false, null);
    Tensor truth = factor.div(shares.mul(factor).sum());
    try (LabelShiftConformal predictor = new LabelShiftConformal()) {
      assertThatThrownBy(() -> predictor.fit(known.probabilities(), known.labels(), null))
          .hasMessageContaining("call target");
      assertThatThrownBy(() -> predictor.target(shifted.features()))
          .hasMessageContaining("from predictions");
      predictor.target(shifted.probabilities(), null);
      predictor.fit(known.probabilities(), known.labels(), null);
      double[] expected = Tensors.doubles(truth);
      for (int c = 0; c < 4; c++) {
        assertThat(predictor.weights()[c]).isCloseTo(expected[c], within(0.05 + 0.1 * expected[c]));
      }
      assertThat(predictor.effectiveSize()).isBetween(2000.0, 16_000.0);
      ConformalEvaluation evaluation =
          ConformalEvaluation.of(
              predictor.sets(shifted.probabilities(), null), shifted.labels(), 0.9);
      assertThat(evaluation.coverage().estimate()).isCloseTo(0.9, within(0.015));
    }
  }

  @Test
  void aClassWithoutHeldOutRowsIsInEverySet() {
    Simulation rows = Simulation.draw(300, 13);
    Simulation known = rows.pick(rows.labels().ne(new Scalar(2L)).nonzero().squeeze(1));
    try (LabelShiftConformal given =
            new LabelShiftConformal(
                new LabelShiftConformal.Settings(
                    0.1,
                    LabelScore.Kind.LAC,
                    true,
                    2,
                    0.1,
                    List.of(0.25, 0.25, 0.25, 0.25),
                    true,
                    0));
        LabelShiftConformal estimated = new LabelShiftConformal()) {
      given.fit(known.probabilities(), known.labels(), null);
      estimated.target(rows.probabilities(), null);
      estimated.fit(known.probabilities(), known.labels(), null);
      for (LabelShiftConformal predictor : List.of(given, estimated)) {
        Tensor sets = predictor.sets(rows.probabilities(), null);
        assertThat(sets.select(1, 2).all().item_bool()).isTrue();
        assertThat(sets.select(1, 0).all().item_bool()).isFalse();
      }
      Tensor three = known.probabilities().narrow(1, 0, 3);
      Tensor p = three.div(three.sum(new long[] {1}, true, null));
      assertThatThrownBy(() -> given.fit(p, known.labels().clamp_max(new Scalar(2L)), null))
          .hasMessageContaining("4 priors, but 3 classes");
    }
    assertThatThrownBy(
            () ->
                new LabelShiftConformal.Settings(
                    0.1, LabelScore.Kind.LAC, true, 2, 0.1, List.of(0.3, 0.3), true, 0))
        .hasMessageContaining("sum to one");
  }

  // -- risk

  @Test
  void theBoundIsThatOfItsFormulas() {
    // No loss in n rows: both bounds are powers of 1 - risk, Bentkus' times e.
    assertThat(RiskBounds.hoeffdingBentkus(0, 0.1, 30)).isCloseTo(Math.pow(0.9, 30), within(1e-15));
    double mean = 3 / 40.0;
    double hoeffding =
        Math.exp(-40 * (mean * Math.log(mean / 0.2) + (1 - mean) * Math.log((1 - mean) / 0.8)));
    double bentkus = Math.E * BinomialDistribution.of(40, 0.2).cumulativeProbability(3);
    assertThat(RiskBounds.hoeffdingBentkus(mean, 0.2, 40))
        .isCloseTo(Math.min(hoeffding, bentkus), within(1e-15));
    assertThat(RiskBounds.hoeffdingBentkus(0.2, 0.2, 40)).isEqualTo(1);
    double bound = RiskBounds.upperBound(mean, 40, 0.1);
    assertThat(RiskBounds.hoeffdingBentkus(mean, bound, 40)).isCloseTo(0.1, within(1e-9));
    assertThat(RiskBounds.upperBound(mean, 40, 0.01)).isGreaterThan(bound);
    assertThat(RiskBounds.upperBound(mean, 400, 0.1)).isLessThan(bound);
    assertThat(RiskBounds.upperBound(1, 40, 0.1)).isEqualTo(1);
    double exact = RiskBounds.binomialBound(3, 40, 0.1);
    assertThat(BinomialDistribution.of(40, exact).cumulativeProbability(3))
        .isCloseTo(0.1, within(1e-9));
    assertThat(RiskBounds.binomialBound(40, 40, 0.1)).isEqualTo(1);
  }

  @Test
  void theMostMissesAreTheLastThatPass() {
    int misses = RiskBounds.mostMisses(500, 0.1, 0.05);
    assertThat(RiskBounds.hoeffdingBentkus(misses / 500.0, 0.1, 500)).isLessThanOrEqualTo(0.05);
    assertThat(RiskBounds.hoeffdingBentkus((misses + 1) / 500.0, 0.1, 500)).isGreaterThan(0.05);
    assertThat(RiskBounds.mostMisses(21, 0.1, 0.1)).isEqualTo(-1);
    assertThat(RiskBounds.mostMisses(22, 0.1, 0.1)).isEqualTo(0);
  }

  @Test
  void anyBoundedLossThatFallsIsControlled() {
    // A loss that is no indicator: the part of five wanted labels that a set lacks.
    try (Rng rng = new Rng(14)) {
      double[] scores = Tensors.doubles(rng.uniform(ScalarType.Double, 400 * 5));
      double[][] losses = new double[101][400];
      for (int option = 0; option <= 100; option++) {
        for (int i = 0; i < 400; i++) {
          for (int j = 0; j < 5; j++) {
            losses[option][i] += scores[5 * i + j] > option / 100.0 ? 0.2 : 0;
          }
        }
      }
      int chosen = RiskBounds.control(losses, 0.2, 0.1);
      // The true risk of option l is 1 - l / 100.
      assertThat(chosen).isBetween(80, 90);
      assertThat(RiskBounds.control(losses, 0.2, 0.001)).isGreaterThanOrEqualTo(chosen);
      assertThat(RiskBounds.control(new double[][] {{0, 0, 0}}, 0.2, 0.1)).isEqualTo(-1);
      assertThatThrownBy(() -> RiskBounds.control(new double[][] {{0, 2}}, 0.2, 0.1))
          .hasMessageContaining("losses must be in [0, 1]");
    }
  }

  @Test
  void riskControlledSetsAreLargerThanThoseOnAverage() {
    Simulation rows = Simulation.draw(500, 15);
    try (RiskControlled careful = new RiskControlled();
        Lac plain = new Lac()) {
      careful.fit(rows.probabilities(), rows.labels(), null);
      plain.fit(rows.probabilities(), rows.labels(), null);
      Tensor large = careful.sets(rows.probabilities(), null);
      Tensor small = plain.sets(rows.probabilities(), null);
      assertThat(large.logical_and(small).eq(small).all().item_bool()).isTrue();
      ConformalEvaluation held = ConformalEvaluation.of(large, rows.labels(), 0.9);
      int misses = RiskBounds.mostMisses(500, 0.1, 0.1);
      assertThat(Math.round(500 * (1 - held.coverage().estimate()))).isEqualTo(misses);
      assertThat(careful.promise()).startsWith("With probability 90 % over the draw of the 500");
    }
  }

  @Test
  void selectionIsSavedAndTakesEqualConfidencesTogether() {
    double[] confidence = new double[400];
    boolean[] right = new boolean[400];
    for (int i = 0; i < 400; i++) {
      confidence[i] = i < 200 ? 0.6 : 0.9;
      right[i] = i >= 200 || i % 2 == 0;
    }
    SelectiveRisk selection = new SelectiveRisk();
    assertThat(selection.fitted()).isFalse();
    assertThatThrownBy(() -> selection.accepts(0.9)).hasMessageContaining("call fit");
    SelectiveRisk.Choice choice = selection.fit(new TopLabel(confidence, right));
    assertThat(choice.threshold()).isEqualTo(0.9);
    assertThat(choice.coverage()).isEqualTo(0.5);
    assertThat(choice.error()).isZero();
    // Nine steps share delta: (1 - b)^200 = 0.001 / 9.
    assertThat(choice.bound()).isCloseTo(1 - Math.pow(0.001 / 9, 1 / 200.0), within(1e-9));
    SelectiveRisk other = new SelectiveRisk(new SelectiveRisk.Settings(0.3, 0.5));
    other.restore(selection.state());
    assertThat(other.choice()).isEqualTo(choice);
    assertThat(other.settings()).isEqualTo(selection.settings());
    assertThat(other.accepts(0.9)).isTrue();
    assertThat(other.accepts(0.89)).isFalse();
    State state = selection.state();
    assertThatThrownBy(
            () -> other.restore(new State(state.type(), 1, Map.of("settings", Map.of()), Map.of())))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("damaged");
    assertThat(other.choice()).isEqualTo(choice);
    Arrays.fill(right, false);
    assertThat(selection.fit(new TopLabel(confidence, right)).threshold()).isInfinite();
    assertThat(selection.accepts(1)).isFalse();
    other.restore(selection.state());
    assertThat(other.choice().threshold()).isInfinite();
  }

  // -- evaluation

  @Test
  void setsAreEvaluated() {
    double[] sets = {
      1, 0, 0, 0,
      0, 0, 0, 0,
      1, 1, 0, 0,
      1, 1, 1, 1,
      1, 0, 1, 0,
    };
    ConformalEvaluation e =
        ConformalEvaluation.of(
            Tensors.of(sets, 5, 4).to(ScalarType.Bool), Tensors.labels(0, 0, 1, 3, 1), 0.9);
    assertThat(e.rows()).isEqualTo(5);
    assertThat(e.coverage().estimate()).isEqualTo(0.6);
    assertThat(e.coverage().low()).isLessThan(0.2);
    assertThat(e.meanSize()).isEqualTo(1.8);
    assertThat(e.empty()).isEqualTo(0.2);
    assertThat(e.full()).isEqualTo(0.2);
    assertThat(e.worstClassCoverage()).isEqualTo(0.5);
    assertThat(e.worstClass()).isZero();
    // Strata: up to one label 1 of 2, two to three 1 of 2, four 1 of 1.
    assertThat(e.stratifiedGap()).isCloseTo(0.4, within(1e-12));
    assertThatThrownBy(
            () ->
                ConformalEvaluation.of(Tensors.of(sets, 5, 4), Tensors.labels(0, 0, 1, 3, 1), 0.9))
        .hasMessageContaining("booleans");
  }
}
