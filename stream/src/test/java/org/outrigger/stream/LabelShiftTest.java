package org.outrigger.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class LabelShiftTest {
  private static final int CLASSES = 5;
  private static final double ACCURACY = 0.8;
  private static final double[] EVEN = {0.2, 0.2, 0.2, 0.2, 0.2};
  private static final double[] SKEWED = {0.5, 0.1, 0.2, 0.15, 0.05};

  static Stream<String> estimators() {
    return Stream.concat(
        Methods.cards(LabelShiftEstimator.class).stream().map(Card::slug),
        Stream.of("bbse:form=soft"));
  }

  /** A calibrated model that is right in 80 of 100: probabilities [N, C] and labels. */
  private record Sample(double[][] probabilities, int[] labels) {}

  private static Sample sample(int n, double[] prior, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[][] rows = new double[n][CLASSES];
    int[] labels = new int[n];
    for (int i = 0; i < n; i++) {
      double u = random.nextDouble();
      int label = 0;
      while (label < CLASSES - 1 && u >= prior[label]) {
        u -= prior[label++];
      }
      labels[i] = label;
      int predicted =
          random.nextDouble() < ACCURACY
              ? label
              : (label + 1 + random.nextInt(CLASSES - 1)) % CLASSES;
      Arrays.fill(rows[i], (1 - ACCURACY) / (CLASSES - 1));
      rows[i][predicted] = ACCURACY;
    }
    return new Sample(rows, labels);
  }

  private static LabelShiftEstimator make(String text) {
    return Methods.parseOne(LabelShiftEstimator.class, text);
  }

  private static void fit(LabelShiftEstimator estimator, Sample sample) {
    estimator.fit(Tensors.of(sample.probabilities), Tensors.labels(sample.labels));
  }

  @ParameterizedTest
  @MethodSource("estimators")
  void theChangedMixIsRecovered(String text) {
    Scopes.run(
        () -> {
          LabelShiftEstimator estimator = make(text);
          fit(estimator, sample(5000, EVEN, 1));
          LabelShift shift = estimator.estimate(Tensors.of(sample(5000, SKEWED, 2).probabilities));
          assertThat(Arrays.stream(shift.prior()).sum()).isCloseTo(1, within(1e-9));
          assertThat(shift.regularised()).isFalse();
          for (int c = 0; c < CLASSES; c++) {
            assertThat(shift.prior()[c]).isCloseTo(SKEWED[c], within(0.05));
            assertThat(shift.weights()[c]).isCloseTo(SKEWED[c] / EVEN[c], within(0.25));
          }
        });
  }

  @ParameterizedTest
  @MethodSource("estimators")
  void aRestoredOneGivesTheSame(String text, @TempDir Path folder) {
    Scopes.run(
        () -> {
          LabelShiftEstimator saved = make(text);
          assertThatThrownBy(() -> saved.estimate(Tensors.of(sample(5, EVEN, 1).probabilities)))
              .isInstanceOf(OutriggerException.class)
              .hasMessageContaining("fit");
          fit(saved, sample(300, EVEN, 1));
          StateFiles.write(folder.resolve("s"), saved.state());
          LabelShiftEstimator restored = make(saved.card().slug());
          restored.restore(StateFiles.read(folder.resolve("s")));
          Tensor target = Tensors.of(sample(200, SKEWED, 3).probabilities);
          assertThat(restored.estimate(target).prior()).isEqualTo(saved.estimate(target).prior());
        });
  }

  @ParameterizedTest
  @MethodSource("estimators")
  void badInputIsRefused(String text) {
    Scopes.run(
        () -> {
          LabelShiftEstimator estimator = make(text);
          Sample good = sample(50, EVEN, 1);
          Tensor rows = Tensors.of(good.probabilities);
          int[] outside = good.labels.clone();
          outside[3] = CLASSES;
          for (Runnable bad :
              new Runnable[] {
                () -> estimator.fit(rows, Tensors.labels(outside)),
                () -> estimator.fit(rows.add(rows), Tensors.labels(good.labels)),
                () -> estimator.fit(rows, Tensors.labels(0, 1))
              }) {
            assertThatThrownBy(bad::run).isInstanceOf(OutriggerException.class);
          }
          assertThat(estimator.fitted()).isFalse();
        });
  }

  @Test
  void aMissingClassMakesBbseLeanOnTheSource() {
    Scopes.run(
        () -> {
          Bbse bbse = new Bbse();
          fit(bbse, sample(500, new double[] {0.25, 0.25, 0.25, 0.25, 0}, 1));
          LabelShift shift = bbse.estimate(Tensors.of(sample(500, SKEWED, 2).probabilities));
          assertThat(shift.regularised()).isTrue();
          assertThat(Arrays.stream(shift.weights()).allMatch(w -> w >= 0 && Double.isFinite(w)))
              .isTrue();
        });
  }
}
