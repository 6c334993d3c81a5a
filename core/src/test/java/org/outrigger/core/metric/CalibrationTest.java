package org.outrigger.core.metric;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class CalibrationTest {
  /** Confidences on bin edges are common on purpose. */
  private static TopLabel random(long seed, int n) {
    Random random = new Random(seed);
    double[] confidence = new double[n];
    boolean[] correct = new boolean[n];
    for (int i = 0; i < n; i++) {
      confidence[i] = random.nextBoolean() ? random.nextInt(16) / 15.0 : random.nextDouble();
      correct[i] = random.nextDouble() < 0.6;
    }
    return new TopLabel(confidence, correct);
  }

  private static TopLabel part(TopLabel all, int from, int to) {
    return new TopLabel(
        Arrays.copyOfRange(all.confidence(), from, to),
        Arrays.copyOfRange(all.correct(), from, to));
  }

  @Property(tries = 50)
  void mergedPartsGiveWhatOnePassGives(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 20) int bins) {
    TopLabel all = random(seed, 60);
    EceAccumulator whole = new EceAccumulator(bins).add(all);
    EceAccumulator merged =
        new EceAccumulator(bins)
            .add(part(all, 0, 17))
            .merge(new EceAccumulator(bins).add(part(all, 17, 60)));
    assertThat(merged.ece()).isCloseTo(whole.ece(), within(1e-12));
    assertThat(merged.mce()).isCloseTo(whole.mce(), within(1e-12));
    assertThat(merged.rmsce()).isCloseTo(whole.rmsce(), within(1e-12));
    assertThat(merged.diagram().counts()).containsExactly(whole.diagram().counts());
  }

  @Property(tries = 50)
  void binsAreOpenOnTheLeftAndClosedOnTheRight(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 20) int bins) {
    TopLabel all = random(seed, 40);
    double ece = 0;
    double most = 0;
    for (int b = 0; b < bins; b++) {
      double low = b / (double) bins;
      double high = (b + 1) / (double) bins;
      double gap = 0;
      int rows = 0;
      for (int i = 0; i < all.size(); i++) {
        double r = all.confidence()[i];
        if ((r > low || (b == 0 && r == 0)) && r <= high) {
          gap += (all.correct()[i] ? 1 : 0) - r;
          rows++;
        }
      }
      ece += Math.abs(gap) / all.size();
      most = Math.max(most, rows == 0 ? 0 : Math.abs(gap) / rows);
    }
    EceAccumulator binned = new EceAccumulator(bins).add(all);
    assertThat(binned.ece()).isCloseTo(ece, within(1e-12));
    assertThat(binned.mce()).isCloseTo(most, within(1e-12));
    assertThat(binned.rmsce()).isBetween(binned.ece() - 1e-12, binned.mce() + 1e-12);
    assertThat(binned.rmsceDebiased()).isLessThanOrEqualTo(binned.rmsce() + 1e-12);
  }

  @Property(tries = 50)
  void everyBinnedErrorIsAtMostThatOfSingleRowsAndAtLeastThatOfOneBin(@ForAll long seed) {
    TopLabel all = random(seed, 50);
    double one = Calibration.ece(all, 1);
    for (double ece :
        new double[] {
          Calibration.ece(all, 15),
          Calibration.eceEqualMass(all, 15),
          Calibration.eceQuantileBins(all, 15)
        }) {
      assertThat(ece).isGreaterThanOrEqualTo(one - 1e-12);
      assertThat(ece).isLessThanOrEqualTo(Calibration.eceEqualMass(all, 50) + 1e-12);
    }
    assertThat(Calibration.ks(all)).isGreaterThanOrEqualTo(one - 1e-12);
  }

  @Example
  void saturatedConfidencesShareTheLastBin() {
    TopLabel all =
        new TopLabel(new double[] {0, 1, 1, 1}, new boolean[] {false, true, true, false});
    EceAccumulator binned = new EceAccumulator(15).add(all);
    assertThat(binned.ece()).isCloseTo(0.25, within(1e-12));
    assertThat(binned.mce()).isCloseTo(1 / 3.0, within(1e-12));
    assertThat(binned.ace()).isCloseTo(1 / 6.0, within(1e-12));
    ReliabilityDiagram diagram = binned.diagram();
    assertThat(diagram.counts()[0]).isEqualTo(1);
    assertThat(diagram.counts()[14]).isEqualTo(3);
    assertThat(diagram.accuracy()[14]).isCloseTo(2 / 3.0, within(1e-12));
    assertThat(diagram.accuracy()[7]).isNaN();
    assertThat(Calibration.eceQuantileBins(all, 4)).isCloseTo(0.25, within(1e-12));
  }

  @Example
  void riskFallsWithCoverageOnlyAsTheOrderAllows() {
    TopLabel all =
        new TopLabel(new double[] {0.6, 0.9, 0.6, 0.8}, new boolean[] {true, true, false, false});
    RiskCoverage curve = RiskCoverage.of(all);
    assertThat(curve.risks()).containsExactly(0, 0.5, 1 / 3.0, 0.5);
    assertThat(curve.aurc()).isCloseTo((0.5 + 1 / 3.0 + 0.5) / 4, within(1e-12));
    assertThat(curve.riskAt(0.5)).isEqualTo(0.5);
    assertThat(curve.riskAt(1)).isEqualTo(0.5);
    assertThat(curve.excessAurc())
        .isCloseTo(curve.aurc() - (0.5 + 0.5 * Math.log(0.5)), within(1e-12));
    TopLabel wrong = new TopLabel(new double[] {0.5, 1}, new boolean[2]);
    assertThat(RiskCoverage.of(wrong).excessAurc()).isZero();
    assertThat(Calibration.aurocOfConfidence(wrong)).isNaN();
  }

  @Example
  void properScoresOfASimpleCase() {
    double[][] p = {{0.5, 0.5}, {0, 1}};
    int[] y = {1, 0};
    assertThat(Calibration.brierSum(p, y)).isCloseTo((0.5 + 2) / 2, within(1e-12));
    assertThat(Calibration.brierMean(p, y)).isCloseTo((0.5 + 2) / 4, within(1e-12));
    assertThat(Calibration.nll(p, y)).isCloseTo((Math.log(2) - Math.log(1e-12)) / 2, within(1e-9));
    TopLabel top = TopLabel.of(p, y);
    // The smallest index wins the tie of the first row.
    assertThat(top.correct()).containsExactly(false, false);
    assertThat(Calibration.brierTopLabel(top)).isCloseTo((0.25 + 1) / 2, within(1e-12));
  }

  @Example
  void badProbabilitiesAreNamed() {
    assertThatThrownBy(() -> TopLabel.of(new double[][] {{0.5, 0.6}}, new int[] {0}))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Row 0 is no probability distribution");
    assertThatThrownBy(() -> TopLabel.of(new double[][] {{1.5, -0.5}}, new int[] {0}))
        .hasMessageContaining("negative");
    assertThatThrownBy(() -> TopLabel.of(new double[][] {{Double.NaN, 1}}, new int[] {0}))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> TopLabel.of(new double[][] {{0.5, 0.5}}, new int[] {2}))
        .hasMessageContaining("label 2");
    assertThatThrownBy(() -> TopLabel.of(new double[0][], new int[0]))
        .hasMessageContaining("no prediction");
    assertThatThrownBy(() -> TopLabel.of(new double[][] {{1}}, new int[2]))
        .hasMessageContaining("2 labels");
    assertThatThrownBy(() -> new EceAccumulator(5).ece()).isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> new EceAccumulator(5).add(Double.NaN, true))
        .isInstanceOf(OutriggerException.class);
    assertThatThrownBy(() -> new EceAccumulator(5).merge(new EceAccumulator(6)))
        .isInstanceOf(OutriggerException.class);
  }

  @Example
  void theBundleOfFiguresAgreesWithEach() {
    try (PointerScope scope = new PointerScope()) {
      double[][] p = {{0.7, 0.3}, {0.2, 0.8}, {0.9, 0.1}};
      int[] y = {0, 0, 0};
      CalibrationMetrics all = CalibrationMetrics.of(Tensors.of(p), Tensors.labels(y));
      assertThat(all.accuracy()).isCloseTo(2 / 3.0, within(1e-12));
      assertThat(all.ece()).isEqualTo(Calibration.ece(TopLabel.of(p, y), 15));
      assertThat(all.nll()).isEqualTo(Calibration.nll(p, y));
    }
  }
}
