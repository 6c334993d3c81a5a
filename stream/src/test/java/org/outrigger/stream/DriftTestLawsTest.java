package org.outrigger.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** What holds for every two-sample test of the registry, and what is special about some. */
class DriftTestLawsTest {
  static Stream<String> tests() {
    return Stream.concat(
        Methods.cards(DriftTest.class).stream().map(Card::slug),
        Stream.of(
            "ks-test:correction=benjamini_hochberg",
            "psi:permutations=50",
            "wasserstein:permutations=0:threshold=0.3",
            "mmd-test:sigmas=0.5+1+2",
            "c2st:form=hard",
            "bbsd:form=hard"));
  }

  private static DriftTest make(String text) {
    return Methods.parseOne(DriftTest.class, text);
  }

  /** Rows that every test takes: three shares that sum to one, moved towards the first. */
  private static Tensor rows(int n, double shift, long seed) {
    try (Rng rng = new Rng(seed)) {
      Tensor logits = rng.normal(torch.ScalarType.Double, n, 3);
      logits.select(1, 0).add_(new Scalar(shift));
      Tensor p = torch.softmax(logits, 1);
      // Two decimals: so that there are ties and categories that recur.
      Tensor two = p.narrow(1, 0, 2).mul(new Scalar(50.0)).round().div(new Scalar(50.0));
      Tensor third = two.sum(1).unsqueeze(1).neg().add(new Scalar(1.0)).clamp_min(new Scalar(0.0));
      return torch.cat(new org.bytedeco.pytorch.TensorVector(two, third), 1);
    }
  }

  private static String shown(DriftTestResult result) {
    return result.drift()
        + " "
        + result.statistic()
        + " "
        + result.pValue()
        + Arrays.toString(result.features());
  }

  @ParameterizedTest
  @MethodSource("tests")
  void aLargeShiftIsFoundAndNoneIsNot(String text) {
    Scopes.run(
        () -> {
          try (DriftTest test = make(text)) {
            assertThat(test.fitted()).isFalse();
            test.fit(rows(120, 0, 1));
            DriftTestResult same = test.test(rows(100, 0, 2));
            DriftTestResult shifted = test.test(rows(100, 3, 2));
            assertThat(shifted.drift()).isTrue();
            assertThat(shifted.statistic()).isGreaterThan(same.statistic());
            if (!text.equals("psi")) {
              assertThat(same.drift()).as(shown(same)).isFalse();
            }
          }
        });
  }

  @ParameterizedTest
  @MethodSource("tests")
  void aRestoredTestGivesTheSame(String text, @TempDir Path folder) {
    Scopes.run(
        () -> {
          Path file = folder.resolve("state");
          try (DriftTest saved = make(text);
              DriftTest restored = make(saved.card().slug())) {
            saved.fit(rows(60, 0, 1));
            StateFiles.write(file, saved.state());
            restored.restore(StateFiles.read(file));
            Tensor batch = rows(50, 0.5, 3);
            assertThat(restored.settings()).isEqualTo(saved.settings());
            assertThat(shown(restored.test(batch))).isEqualTo(shown(saved.test(batch)));
            assertThat(shown(saved.test(batch))).isEqualTo(shown(saved.test(batch)));
          }
        });
  }

  @ParameterizedTest
  @MethodSource("tests")
  void theOrderOfTheBatchDoesNotMatterToTestsWithoutDraws(String text) {
    if (!List.of("ks-test", "chi-squared-test", "cramer-von-mises", "psi", "bbsd").contains(text)) {
      return;
    }
    Scopes.run(
        () -> {
          try (DriftTest test = make(text)) {
            test.fit(rows(60, 0, 1));
            Tensor batch = rows(40, 0.5, 3);
            assertThat(shown(test.test(batch.flip(0)))).isEqualTo(shown(test.test(batch)));
          }
        });
  }

  @ParameterizedTest
  @MethodSource("tests")
  void badRowsAreRefusedAndTheReferenceStays(String text) {
    Scopes.run(
        () -> {
          try (DriftTest test = make(text)) {
            refuses(() -> test.test(rows(10, 0, 1)), "fit");
            test.fit(rows(60, 0, 1));
            Tensor batch = rows(40, 0.5, 3);
            String before = shown(test.test(batch));
            Tensor bad = rows(40, 0, 4);
            bad.select(0, 5).fill_(new Scalar(Double.NaN));
            for (Tensor rows : List.of(bad, batch.narrow(0, 0, 1), batch.select(0, 0))) {
              refuses(() -> test.fit(rows), "");
              refuses(() -> test.test(rows), "");
            }
            refuses(() -> test.test(batch.narrow(1, 0, 2)), "features");
            State state = test.state();
            refuses(() -> test.restore(new State(state.type(), 1, state.values(), Map.of())), "");
            refuses(() -> test.restore(new State("x", 1, state.values(), state.tensors())), "");
            assertThat(shown(test.test(batch))).isEqualTo(before);
          }
        });
  }

  private static void refuses(Runnable work, String word) {
    assertThatThrownBy(work::run).isInstanceOf(OutriggerException.class).hasMessageContaining(word);
  }

  @Test
  void aDistanceToItselfIsZeroAndAShiftIsItsSize() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(5)) {
            Tensor a = rng.normal(torch.ScalarType.Double, 70, 2);
            Tensor moved = a.add(new Scalar(-1.5));
            assertThat(Tensors.doubles(Psi.index(a, a, 10, 1e-4))).containsOnly(0);
            assertThat(Tensors.doubles(JensenShannon.divergence(a, a, 10))).containsOnly(0);
            assertThat(Tensors.doubles(Wasserstein.distance(a, a))).containsOnly(0);
            assertThat(Tensors.doubles(KsTest.distance(a, a))).containsOnly(0);
            for (double w : Tensors.doubles(Wasserstein.distance(a, moved))) {
              assertThat(w).isCloseTo(1.5, within(1e-12));
            }
            Tensor far = a.add(new Scalar(100.0));
            for (double js : Tensors.doubles(JensenShannon.divergence(a, far, 10))) {
              assertThat(js).isLessThanOrEqualTo(Math.log(2));
            }
          }
        });
  }

  @Test
  void aConstantReferenceSeesValuesLeaveIt() {
    Scopes.run(
        () -> {
          Tensor constant =
              torch.full(new long[] {50, 1}, new Scalar(2.0)).to(torch.ScalarType.Double);
          Tensor above = constant.add(new Scalar(1.0));
          assertThat(Tensors.doubles(Psi.index(constant, constant, 10, 1e-4))).containsOnly(0);
          assertThat(Psi.index(constant, above, 10, 1e-4).item_double()).isGreaterThan(1);
          assertThat(JensenShannon.divergence(constant, above, 10).item_double())
              .isCloseTo(Math.log(2), within(1e-12));
        });
  }

  /** Counted by hand: of the 20 orders of 3 and 3, two have D = 1. */
  @Test
  void categoriesAreFiniteAndBothZerosAreOne() {
    assertThat(ChiSquaredTest.table(new double[] {2, 0.0, 2}, new double[] {-0.0, 1, 0.0}))
        .isDeepEqualTo(new double[][] {{1, 0, 2}, {2, 1, 0}});
    assertThatThrownBy(() -> ChiSquaredTest.table(new double[] {1}, new double[] {Double.NaN}))
        .hasMessageContaining("The batch holds the value NaN");
  }

  @Test
  void theExactPValueIsTheRecursionWrittenOut() {
    SplittableRandom random = new SplittableRandom(7);
    for (int trial = 0; trial < 400; trial++) {
      int n = random.nextInt(1, 25);
      int m = random.nextInt(1, 25);
      int h = random.nextInt(0, n * m + 1);
      for (KolmogorovSmirnov.Side side : KolmogorovSmirnov.Side.values()) {
        assertThat(KolmogorovSmirnov.exact(h / ((double) n * m), n, m, side))
            .as("%d of %d x %d, %s", h, n, m, side)
            .isCloseTo(leaving(n, m, h, side), within(1e-13));
      }
    }
  }

  /** The chance that a path to (n, m) leaves the band, cell by cell. */
  private static double leaving(int n, int m, int h, KolmogorovSmirnov.Side side) {
    double[][] v = new double[n + 1][m + 1];
    for (int i = 0; i <= n; i++) {
      for (int j = 0; j <= m; j++) {
        int gap = i * m - j * n;
        if ((side == KolmogorovSmirnov.Side.TWO_SIDED ? Math.abs(gap) : gap) >= h) {
          v[i][j] = 1;
        } else if (i + j > 0) {
          v[i][j] = ((i == 0 ? 0 : i * v[i - 1][j]) + (j == 0 ? 0 : j * v[i][j - 1])) / (i + j);
        }
      }
    }
    return v[n][m];
  }

  @Test
  void smallSamplesAreCounted() {
    assertThat(KolmogorovSmirnov.exact(1, 3, 3, KolmogorovSmirnov.Side.TWO_SIDED))
        .isCloseTo(0.1, within(1e-15));
    assertThat(KolmogorovSmirnov.exact(1, 3, 3, KolmogorovSmirnov.Side.FIRST_LOWER))
        .isCloseTo(0.05, within(1e-15));
    assertThat(KolmogorovSmirnov.exact(0, 3, 3, KolmogorovSmirnov.Side.TWO_SIDED)).isEqualTo(1);
    double separated =
        Scopes.scoped(
            () ->
                CramerVonMises.statistic(
                        Tensors.of(new double[][] {{1}, {2}, {3}}),
                        Tensors.of(new double[][] {{4}, {5}, {6}}))
                    .item_double());
    assertThat(CramerVonMises.exact(separated, 3, 3)).isCloseTo(0.1, within(1e-12));
  }

  @Test
  void exactAndLimitMeetForLargeSamples() {
    for (double d : new double[] {0.05, 0.1}) {
      double exact = KolmogorovSmirnov.exact(d, 500, 450, KolmogorovSmirnov.Side.TWO_SIDED);
      assertThat(KolmogorovSmirnov.limit(d, 500, 450, KolmogorovSmirnov.Side.TWO_SIDED))
          .isCloseTo(exact, within(0.05));
    }
    for (double t : new double[] {0.1, 0.3, 0.6}) {
      assertThat(CramerVonMises.limit(t, 20, 18))
          .isCloseTo(CramerVonMises.exact(t, 20, 18), within(0.02));
    }
  }

  /** 200 draws without any shift: the number of rejections lies in the binomial 99 % band. */
  @Test
  void theLevelIsKept() {
    for (String text : List.of("mmd-test:permutations=40", "c2st", "wasserstein:permutations=40")) {
      int rejections = 0;
      for (int i = 0; i < 200; i++) {
        int draw = i;
        boolean rejected =
            Scopes.scoped(
                () -> {
                  try (DriftTest test = make(text);
                      Rng rng = new Rng(1000 + draw)) {
                    test.fit(rng.normal(torch.ScalarType.Double, 20, 1));
                    return test.test(rng.normal(torch.ScalarType.Double, 20, 1)).drift();
                  }
                });
        rejections += rejected ? 1 : 0;
      }
      // Binomial(200, 0.05): 99 % lie from 3 to 19.
      assertThat(rejections).as(text).isBetween(3, 19);
    }
  }

  /** The law of few judged rows is discrete, so that it may reject less often than its level. */
  @Test
  void aSingleSplitKeepsTheLevelAndSeesALargeShift() {
    int rejections = 0;
    for (int i = 0; i < 200; i++) {
      rejections += split(1000 + i, 0) ? 1 : 0;
    }
    assertThat(rejections).isBetween(1, 19);
    assertThat(split(1, 2)).isTrue();
  }

  private static boolean split(long seed, double shift) {
    return Scopes.scoped(
        () -> {
          try (DriftTest test = make("c2st:folds=1");
              Rng rng = new Rng(seed)) {
            test.fit(rng.normal(torch.ScalarType.Double, 80, 3));
            return test.test(
                    rng.normal(torch.ScalarType.Double, 80, 3)
                        .add(new org.bytedeco.pytorch.Scalar(shift)))
                .drift();
          }
        });
  }

  @Test
  void correctionsAreTheirDefinitions() {
    double[] p = {0.04, 0.001, 0.02, 0.5};
    assertThat(Correction.NONE.threshold(p, 0.05)).isEqualTo(0.05);
    assertThat(Correction.BONFERRONI.threshold(p, 0.05)).isEqualTo(0.0125);
    assertThat(Correction.BENJAMINI_HOCHBERG.threshold(p, 0.05)).isEqualTo(0.025);
    assertThat(Correction.BENJAMINI_HOCHBERG.threshold(new double[] {0.9, 0.8}, 0.05))
        .isEqualTo(0.025);
  }

  @Test
  void tooFewPermutationsAreRefused() {
    refuses(() -> make("mmd-test:permutations=10"), "permutations");
    refuses(() -> make("lsdd:permutations=10"), "permutations");
    refuses(() -> make("wasserstein:permutations=10"), "permutations");
  }
}
