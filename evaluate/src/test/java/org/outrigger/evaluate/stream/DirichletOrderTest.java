package org.outrigger.evaluate.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;

class DirichletOrderTest {
  private static final int[] LABELS = IntStream.range(0, 1000).map(i -> i * 7 % 10).toArray();

  private static int[] labelsOf(int[] order) {
    return Arrays.stream(order).map(i -> LABELS[i]).toArray();
  }

  /** The mean length of a run of one class. */
  private static double run(int[] order) {
    int[] labels = labelsOf(order);
    long changes =
        IntStream.range(1, labels.length).filter(i -> labels[i] != labels[i - 1]).count();
    return labels.length / (changes + 1.0);
  }

  private static int[] range(int size) {
    return IntStream.range(0, size).toArray();
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, .001, .01, .1, 1, 100})
  void everyRowComesOnceAndTheSeedDecides(double delta) {
    int[] order = DirichletOrder.draw(LABELS, delta, 3);
    assertThat(order).containsExactlyInAnyOrder(range(1000));
    assertThat(DirichletOrder.draw(LABELS, delta, 3)).isEqualTo(order);
    assertThat(DirichletOrder.draw(LABELS, delta, 4)).isNotEqualTo(order);
  }

  @Test
  void theSmallerTheConcentrationTheLongerTheRuns() {
    assertThat(meanRun(0)).isEqualTo(100);
    assertThat(meanRun(.01)).isBetween(40.0, 90.0);
    assertThat(meanRun(.1)).isBetween(17.0, 40.0);
    // Even with equal shares a chunk is walked class by class.
    assertThat(meanRun(100)).isBetween(9.0, 12.0);
  }

  private static double meanRun(double delta) {
    return IntStream.range(0, 20)
        .mapToDouble(seed -> run(DirichletOrder.draw(LABELS, delta, seed)))
        .average()
        .orElseThrow();
  }

  @Test
  void sortingKeepsClassesInOrderAndShufflesWithinThem() {
    int[] order = DirichletOrder.draw(LABELS, 0, 1);
    assertThat(labelsOf(order)).isSorted();
    assertThat(Arrays.copyOf(order, 100))
        .isNotEqualTo(Arrays.stream(order, 0, 100).sorted().toArray());
  }

  @Test
  void unknownRowsAreOneMoreClass() {
    int[] labels = IntStream.range(0, 90).map(i -> i % 3 - 1).toArray();
    assertThat(DirichletOrder.draw(labels, .5, 0)).containsExactlyInAnyOrder(range(90));
  }

  @Test
  void aFullChunkTakesNoMoreAndTheLastTakesWhatHasNoShare() {
    int[][] classes = {{1, 0}, {1, 0}};
    // Two rows of class 0 leave chunk 0 room, of which class 1 takes its share.
    int[] labels = {0, 0, 1, 1, 1, 1};
    assertThat(DirichletOrder.order(labels, new double[][] {{1, 0}, {.5, .5}}, classes))
        .containsExactly(2, 3, 0, 1, 4, 5);
    // They fill chunk 0, so that nothing of the share of class 1 there counts.
    int[] even = {0, 0, 1, 1};
    assertThat(DirichletOrder.order(even, new double[][] {{1, 0}, {.99, .01}}, classes))
        .containsExactly(0, 1, 2, 3);
    // Class 1 wants chunk 0 alone, which is full: the last takes it.
    assertThat(DirichletOrder.order(even, new double[][] {{1, 0}, {1, 0}}, classes))
        .containsExactly(0, 1, 2, 3);
  }

  @Test
  void tooFewRowsAreAnErrorInsteadOfAnEndlessLoop() {
    int[] few = IntStream.range(0, 99).map(i -> i % 10).toArray();
    assertThatThrownBy(() -> DirichletOrder.draw(few, .1, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("needs 100 rows or more")
        .hasMessageContaining("there are 99");
    assertThat(DirichletOrder.draw(few, 0, 0)).hasSize(99);
  }

  @Test
  void whereNoDrawFillsEveryChunkThatIsSaid() {
    // One class has nearly all rows and goes to one chunk in one piece.
    int[] skewed = IntStream.range(0, 1000).map(i -> i < 30 ? i % 30 : 0).toArray();
    assertThatThrownBy(() -> DirichletOrder.draw(skewed, 1e-6, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("choose a larger delta");
  }

  @Test
  void badDrawsAreNamed() {
    int[][] classes = {{0, 1}, {1, 0}};
    assertThatThrownBy(
            () -> DirichletOrder.order(new int[] {0, 2}, new double[][] {{1, 0}, {1, 0}}, classes))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("A label is 2");
    assertThatThrownBy(
            () ->
                DirichletOrder.order(
                    new int[] {0, 1}, new double[][] {{1, Double.NaN}, {1, 0}}, classes))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("no shares of 2 chunks");
    assertThatThrownBy(
            () ->
                DirichletOrder.order(
                    new int[] {0, 1},
                    new double[][] {{1, 0}, {1, 0}},
                    new int[][] {{0, 0}, {1, 0}}))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("must name each of 0 to 1 once");
    assertThatThrownBy(() -> DirichletOrder.draw(LABELS, -1, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("delta");
  }
}
