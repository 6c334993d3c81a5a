package org.outrigger.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.metric.Calibration;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What every calibrator of the registry promises, on logits that are too sure. */
class CalibratorLawsTest {
  private static final long ROWS = 240;
  private static final long CLASSES = 4;

  @TempDir Path folder;

  private PointerScope scope;
  private Tensor logits;
  private Tensor labels;
  private Tensor test;

  /** All that look at logits alone, and some with other settings. */
  static List<String> all() {
    return Stream.concat(
            Methods.cards(Calibrator.class).stream()
                .filter(card -> !Arrays.asList(card.needs()).contains(Need.INPUTS))
                .map(Card::slug),
            Stream.of(
                "vector-scaling:l2=0.01",
                "isotonic:maps=SHARED",
                "histogram-binning:bins=7",
                "matrix-scaling:lambda=0.1:mu=0",
                "auto:candidates=temperature+platt:folds=3"))
        .toList();
  }

  static List<String> ranking() {
    return all().stream().filter(name -> make(name).keepsRanking()).toList();
  }

  /** Those that minimise the negative log-likelihood, and start where they change nothing. */
  static List<String> likelihood() {
    return List.of(
        "temperature", "vector-scaling", "vector-scaling:l2=0.01", "matrix-scaling", "dirichlet");
  }

  private static Calibrator make(String name) {
    return Methods.parseOne(Calibrator.class, name);
  }

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    try (Rng rng = new Rng(11)) {
      Tensor honest = rng.normal(ScalarType.Double, ROWS, CLASSES).mul(new Scalar(1.5));
      labels = torch.multinomial(torch.softmax(honest, 1), 1, true, rng.generator()).squeeze(1);
      logits = honest.mul(new Scalar(2.5)).add(Tensors.of(new double[] {0.5, 0, 0, -0.5}, 4));
      test = rng.normal(ScalarType.Double, 30, CLASSES).mul(new Scalar(4.0));
    }
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private Calibrator fitted(String name) {
    Calibrator calibrator = make(name);
    calibrator.fit(logits, labels);
    return calibrator;
  }

  private static double[] values(Calibrator calibrator, Tensor z) {
    return Tensors.doubles(calibrator.probabilities(z));
  }

  @ParameterizedTest
  @MethodSource("all")
  void rowsAreDistributions(String name) {
    try (Calibrator calibrator = fitted(name)) {
      for (Tensor z : List.of(test, test.mul(new Scalar(500.0)), test.to(ScalarType.Float))) {
        double[] p = values(calibrator, z);
        assertThat(p).hasSize(30 * (int) CLASSES);
        for (int i = 0; i < p.length; i += (int) CLASSES) {
          double[] row = Arrays.copyOfRange(p, i, i + (int) CLASSES);
          assertThat(Arrays.stream(row).sum()).isCloseTo(1, within(1e-6));
          for (double q : row) {
            assertThat(q).isBetween(0.0, 1 + 1e-12);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aRestoredOneGivesTheSameToTheLastBit(String name) {
    try (Calibrator calibrator = fitted(name);
        Calibrator other =
            Methods.create(Calibrator.class, calibrator.card().slug(), Map.<String, Object>of())) {
      Path file = folder.resolve("state");
      StateFiles.write(file, calibrator.state());
      other.restore(StateFiles.read(file));
      assertThat(other.fitted()).isTrue();
      if (!(calibrator instanceof TemperatureScaling)) {
        assertThat(other.settings()).isEqualTo(calibrator.settings());
      }
      assertThat(other.parameterCount()).isEqualTo(calibrator.parameterCount()).isPositive();
      assertThat(other.keepsRanking()).isEqualTo(calibrator.keepsRanking());
      assertThat(values(other, test)).containsExactly(values(calibrator, test));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void theOrderOfRowsDoesNotMatter(String name) {
    try (Calibrator calibrator = fitted(name);
        Calibrator other = make(name);
        Rng rng = new Rng(5)) {
      Tensor order = rng.permutation(ROWS);
      other.fit(logits.index_select(0, order), labels.index_select(0, order));
      assertThat(values(other, test)).containsExactly(values(calibrator, test), within(1e-5));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void fittingAgainGivesTheSameToTheLastBit(String name) {
    try (Calibrator calibrator = fitted(name);
        Calibrator other = fitted(name)) {
      assertThat(values(other, test)).containsExactly(values(calibrator, test));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aRowDoesNotDependOnItsBatch(String name) {
    try (Calibrator calibrator = fitted(name)) {
      double[] together = values(calibrator, test);
      for (int i = 0; i < 30; i++) {
        double[] alone = values(calibrator, test.narrow(0, i, 1));
        assertThat(alone)
            .containsExactly(
                Arrays.copyOfRange(together, i * (int) CLASSES, (i + 1) * (int) CLASSES),
                within(1e-12));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void theFastPathAgreesWithTheTensors(String name) {
    try (Calibrator calibrator = fitted(name)) {
      Tensor z = test.to(ScalarType.Float);
      int[] predicted = Tensors.ints(z.argmax(new LongOptional(1), false));
      double[] p = values(calibrator, z);
      double[] fast = calibrator.confidences(Tensors.floats(z), (int) CLASSES, predicted);
      for (int i = 0; i < 30; i++) {
        assertThat(fast[i]).isCloseTo(p[i * (int) CLASSES + predicted[i]], within(1e-6));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("ranking")
  void thoseThatPromiseToKeepTheRankingOfClasses(String name) {
    try (Calibrator calibrator = fitted(name)) {
      for (Tensor z : List.of(test, logits)) {
        double[] before = Tensors.doubles(z);
        double[] after = values(calibrator, z);
        for (int row = 0; row < before.length; row += (int) CLASSES) {
          for (int a = row; a < row + CLASSES; a++) {
            for (int b = row; b < row + CLASSES; b++) {
              if (before[a] > before[b]) {
                assertThat(after[a]).isGreaterThanOrEqualTo(after[b]);
              }
            }
          }
        }
        assertThat(Tensors.ints(calibrator.probabilities(z).argmax(new LongOptional(1), false)))
            .containsExactly(Tensors.ints(z.argmax(new LongOptional(1), false)));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("likelihood")
  void theDataItWasFittedOnIsNoLessLikelyThanBefore(String name) {
    try (Calibrator calibrator = fitted(name)) {
      double before = CrossEntropy.loss(logits, labels, 0).item_double();
      double after =
          Calibration.nll(Tensors.rows(calibrator.probabilities(logits)), Tensors.ints(labels));
      assertThat(after).isLessThanOrEqualTo(before + 1e-9);
      // These logits are 2.5 times too large: each finds most of that.
      assertThat(after).isLessThan(before - 0.1);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aFailedFitLeavesTheEarlierState(String name) {
    try (Calibrator calibrator = fitted(name)) {
      double[] before = values(calibrator, test);
      for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
        Tensor broken = logits.clone();
        broken.select(0, 3).fill_(new Scalar(bad));
        assertThatThrownBy(() -> calibrator.fit(broken, labels))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("NaN or infinite");
      }
      assertThatThrownBy(() -> calibrator.fit(logits, labels.add(new Scalar(1))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("the classes are 0 to 3");
      assertThatThrownBy(() -> calibrator.fit(logits, labels.narrow(0, 0, 9)))
          .isInstanceOf(OutriggerException.class);
      assertThatThrownBy(() -> calibrator.fit(logits.narrow(0, 0, 0), labels.narrow(0, 0, 0)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("empty");
      assertThat(values(calibrator, test)).containsExactly(before);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void badRowsAreNamed(String name) {
    try (Calibrator calibrator = make(name)) {
      assertThat(calibrator.fitted()).isFalse();
      assertThatThrownBy(() -> calibrator.probabilities(test))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("fit");
      calibrator.fit(logits, labels);
      Tensor broken = test.clone();
      broken.select(0, 3).fill_(new Scalar(Double.NaN));
      assertThatThrownBy(() -> calibrator.probabilities(broken))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("1 of 30 rows");
      assertThatThrownBy(() -> calibrator.probabilities(test.select(0, 0)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("[N, C]");
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aDamagedStateIsRefusedAndChangesNothing(String name) {
    try (Calibrator calibrator = fitted(name)) {
      double[] before = values(calibrator, test);
      State good = calibrator.state();
      State bare = new State(good.type(), 1, Map.of(), Map.of());
      assertThatThrownBy(() -> calibrator.restore(bare)).isInstanceOf(OutriggerException.class);
      State other = new State("calibrator/other", 1, good.values(), good.tensors());
      assertThatThrownBy(() -> calibrator.restore(other)).isInstanceOf(OutriggerException.class);
      State newer = new State(good.type(), 99, good.values(), good.tensors());
      assertThatThrownBy(() -> calibrator.restore(newer)).hasMessageContaining("update");
      for (String tensor : good.tensors().keySet()) {
        Map<String, Tensor> broken = new HashMap<>(good.tensors());
        Tensor nan = good.tensor(tensor).clone();
        nan.flatten().narrow(0, 0, 1).fill_(new Scalar(Double.NaN));
        broken.put(tensor, nan);
        State damaged = new State(good.type(), 1, good.values(), broken);
        assertThatThrownBy(() -> calibrator.restore(damaged))
            .isInstanceOf(OutriggerException.class);
        broken.put(tensor, Tensors.of(new double[5 * 7], 5, 7));
        State misshapen = new State(good.type(), 1, good.values(), broken);
        assertThatThrownBy(() -> calibrator.restore(misshapen))
            .isInstanceOf(OutriggerException.class);
      }
      assertThat(values(calibrator, test)).containsExactly(before);
    }
  }
}
