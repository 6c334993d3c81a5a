package org.outrigger.core.metric;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;

class RankCorrelationTest {
  private static double[] draws(long seed, int n, int values) {
    Random random = new Random(seed);
    return random.ints(n, 0, values).asDoubleStream().toArray();
  }

  @Property(tries = 50)
  void allFiguresAreSymmetricAndBoundedAndSeeOnlyTheOrder(@ForAll long seed) {
    double[] x = draws(seed, 12, 6);
    double[] y = draws(seed + 1, 12, 6);
    double weighted = RankCorrelation.weightedKendall(x, y);
    assertThat(RankCorrelation.weightedKendall(y, x)).isCloseTo(weighted, within(1e-12));
    assertThat(weighted).isBetween(-1.0 - 1e-12, 1.0 + 1e-12);
    double[] stretched = Arrays.stream(x).map(v -> Math.exp(v) - 3).toArray();
    assertThat(RankCorrelation.weightedKendall(stretched, y)).isCloseTo(weighted, within(1e-12));
    assertThat(RankCorrelation.kendall(stretched, y))
        .isCloseTo(RankCorrelation.kendall(x, y), within(1e-12));
    assertThat(RankCorrelation.spearman(stretched, y))
        .isCloseTo(RankCorrelation.spearman(x, y), within(1e-12));
    double[] scaled = Arrays.stream(x).map(v -> 2 * v + 5).toArray();
    assertThat(RankCorrelation.pearson(scaled, y))
        .isCloseTo(RankCorrelation.pearson(x, y), within(1e-9));
  }

  @Test
  void theSameOrderIsOneAndTheReverseMinusOne() {
    double[] x = {1, 2, 3, 4};
    double[] reverse = {4, 3, 2, 1};
    assertThat(RankCorrelation.weightedKendall(x, x)).isEqualTo(1, within(1e-12));
    assertThat(RankCorrelation.weightedKendall(x, reverse)).isEqualTo(-1, within(1e-12));
    assertThat(RankCorrelation.kendall(x, reverse)).isEqualTo(-1, within(1e-12));
    assertThat(RankCorrelation.spearman(x, x)).isEqualTo(1, within(1e-12));
  }

  /** Places 0, 1, 2 weigh 1, 1/2, 1/3: pairs 3/2, 4/3 and 5/6, in all 11/3. */
  @Test
  void aSwapAmongTheBestCostsMore() {
    double[] truth = {3, 2, 1};
    assertThat(RankCorrelation.weightedKendall(new double[] {2, 3, 1}, truth))
        .isEqualTo((-3.0 / 2 + 4.0 / 3 + 5.0 / 6) / (11.0 / 3), within(1e-12));
    assertThat(RankCorrelation.weightedKendall(new double[] {3, 1, 2}, truth))
        .isEqualTo((3.0 / 2 + 4.0 / 3 - 5.0 / 6) / (11.0 / 3), within(1e-12));
  }

  @Test
  void tiesAreNeitherForNorAgainst() {
    double[] x = {1, 1, 2};
    double[] y = {1, 2, 3};
    assertThat(RankCorrelation.kendall(x, y)).isEqualTo(2 / Math.sqrt(6), within(1e-12));
    assertThat(RankCorrelation.ranks(new double[] {5, 1, 5, 0.5})).containsExactly(3.5, 2, 3.5, 1);
    double[] constant = {7, 7, 7};
    assertThat(RankCorrelation.weightedKendall(constant, y)).isNaN();
    assertThat(RankCorrelation.kendall(constant, y)).isNaN();
    assertThat(RankCorrelation.pearson(constant, y)).isNaN();
  }

  @Test
  void theBestAmongTheFirstIsComparedWithTheBest() {
    double[] scores = {3, 2, 1};
    double[] accuracies = {0.5, 0.8, 0.4};
    assertThat(RankCorrelation.relAtK(scores, accuracies, 1)).isEqualTo(0.5 / 0.8);
    assertThat(RankCorrelation.relAtK(scores, accuracies, 2)).isEqualTo(1);
    assertThat(RankCorrelation.relAtK(scores, accuracies, 9)).isEqualTo(1);
    // A score that tells nothing apart gets the worst model.
    assertThat(RankCorrelation.relAtK(new double[3], accuracies, 1)).isEqualTo(0.5);
  }

  @Test
  void badListsAreRefused() {
    double[] two = {1, 2};
    assertThatThrownBy(() -> RankCorrelation.kendall(two, new double[] {1}))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("2 and 1");
    assertThatThrownBy(() -> RankCorrelation.spearman(two, new double[] {1, Double.NaN}))
        .hasMessageContaining("pair 1 is 2.0, NaN");
    assertThatThrownBy(() -> RankCorrelation.relAtK(two, two, 0)).hasMessageContaining("k = 0");
    assertThatThrownBy(() -> RankCorrelation.relAtK(two, new double[2], 1))
        .hasMessageContaining("above 0");
  }
}
