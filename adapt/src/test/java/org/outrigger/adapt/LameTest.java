package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.adapt.Lame.Affinity;
import org.outrigger.adapt.Lame.Assignment;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LameTest {
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

  private static Lame.Settings settings(Affinity affinity, int knn) {
    return new Lame.Settings(affinity, knn, false, 1, 100);
  }

  private static Tensor probabilities(Rng rng, long rows, long classes) {
    return torch.softmax(rng.normal(ScalarType.Double, rows, classes), 1);
  }

  /** {@code sum KL(y || p) - lambda / 2 sum W_ij y_i . y_j}. */
  private static double objective(Tensor y, Tensor p, Tensor kernel, double lambda) {
    Tensor distance = y.mul(y.clamp_min(new Scalar(1e-300)).log().sub(p.log())).sum();
    Tensor agreement = y.mul(kernel.mm(y)).sum().mul(new Scalar(lambda / 2));
    return distance.sub(agreement).item_double();
  }

  @Property(tries = 20)
  void noIterationRaisesTheObjectiveOfASymmetricPositiveKernel(
      @ForAll long seed,
      @ForAll @IntRange(min = 2, max = 12) int rows,
      @ForAll @IntRange(min = 2, max = 5) int classes,
      @ForAll @DoubleRange(min = 0.1, max = 3) double lambda,
      @ForAll boolean rbf) {
    Torch.start();
    try (PointerScope own = new PointerScope();
        Rng rng = new Rng(seed)) {
      Tensor p = probabilities(rng, rows, classes);
      Tensor unit = Lame.unit(rng.normal(ScalarType.Double, rows, 4));
      Tensor kernel = Lame.affinity(unit, rbf ? Affinity.RBF : Affinity.LINEAR, 2);
      double before = Double.POSITIVE_INFINITY;
      for (int steps = 1; steps < 12; steps++) {
        Tensor y = Lame.smooth(p, kernel, lambda, steps).logAssignments().exp();
        double now = objective(y, p, kernel, lambda);
        assertThat(now).isLessThanOrEqualTo(before + 1e-7);
        before = now;
      }
    }
  }

  @Property(tries = 20)
  void assignmentsAreDistributionsAndFollowTheOrderOfRowsAndClasses(
      @ForAll long seed, @ForAll Affinity affinity, @ForAll boolean symmetric) {
    Torch.start();
    try (PointerScope own = new PointerScope();
        Rng rng = new Rng(seed)) {
      Lame.Settings settings = new Lame.Settings(affinity, 3, symmetric, 1, 30);
      Tensor p = probabilities(rng, 9, 4);
      Tensor f = rng.normal(ScalarType.Double, 9, 5);
      Tensor y = Lame.assign(p, f, settings).logAssignments().exp();
      assertThat(Arrays.stream(Tensors.doubles(y.sum(1))))
          .allSatisfy(sum -> assertThat(sum).isCloseTo(1, within(1e-12)));
      Tensor rows = rng.permutation(9);
      Tensor classes = rng.permutation(4);
      Tensor moved =
          Lame.assign(
                  p.index_select(0, rows).index_select(1, classes),
                  f.index_select(0, rows),
                  settings)
              .logAssignments()
              .exp();
      assertThat(Tensors.doubles(moved))
          .containsExactly(
              Tensors.doubles(y.index_select(0, rows).index_select(1, classes)), within(1e-6));
      Tensor longer = Lame.assign(p, f.mul(new Scalar(7.0)), settings).logAssignments().exp();
      assertThat(Tensors.doubles(longer)).containsExactly(Tensors.doubles(y), within(1e-6));
    }
  }

  @Test
  void neighboursOutvoteARowThatIsUnsure() {
    Tensor f = Tensors.of(new double[][] {{1, 0}, {1, .01}, {1, .02}, {0, 1}, {.01, 1}});
    Tensor p = Tensors.of(new double[][] {{.9, .1}, {.9, .1}, {.4, .6}, {.1, .9}, {.1, .9}});
    Tensor y = Lame.assign(p, f, settings(Affinity.KNN, 1)).logAssignments();
    assertThat(Tensors.longs(y.argmax(new LongOptional(1), false))).containsExactly(0, 0, 0, 1, 1);
  }

  @Test
  void withoutAPullRowsKeepTheirProbabilities() {
    try (Rng rng = new Rng(3)) {
      Tensor p = probabilities(rng, 6, 3);
      Tensor f = rng.normal(ScalarType.Double, 6, 2);
      Assignment made = Lame.assign(p, f, new Lame.Settings(Affinity.KNN, 2, false, 0, 100));
      assertThat(Tensors.doubles(made.logAssignments().exp()))
          .containsExactly(Tensors.doubles(p), within(1e-8));
      assertThat(made.energies()).hasSize(3);
    }
  }

  @ParameterizedTest
  @EnumSource(Affinity.class)
  void aRowAloneKeepsItsProbabilities(Affinity affinity) {
    Tensor p = Tensors.of(new double[][] {{.2, .5, .3}});
    Tensor f = Tensors.of(new double[][] {{1, 2}});
    Tensor y = Lame.assign(p, f, settings(affinity, 5)).logAssignments().exp();
    assertThat(Tensors.doubles(y)).containsExactly(new double[] {.2, .5, .3}, within(1e-9));
  }

  @ParameterizedTest
  @EnumSource(Affinity.class)
  void identicalAndZeroFeaturesGiveFiniteResults(Affinity affinity) {
    Tensor p = Tensors.of(new double[][] {{1, 0}, {.5, .5}, {.3, .7}, {0, 1}});
    Tensor zero = torch.zeros(new long[] {4, 3}, new TensorOptions(ScalarType.Double));
    Tensor same = zero.add(new Scalar(2.0));
    for (Tensor f : new Tensor[] {zero, same}) {
      Tensor y = Lame.assign(p, f, settings(affinity, 9)).logAssignments();
      assertThat(Arrays.stream(Tensors.doubles(y))).allMatch(Double::isFinite);
    }
  }

  @Test
  void aDuplicateIsANeighbourAndTheRowItselfIsNot() {
    Tensor f = Lame.unit(Tensors.of(new double[][] {{1, 0}, {1, 0}, {0, 1}}));
    assertThat(Tensors.doubles(Lame.affinity(f, Affinity.KNN, 1).narrow(0, 0, 2)))
        .containsExactly(0, 1, 0, 1, 0, 0);
  }

  @Test
  void whatIsNoDistributionIsRefused() {
    Tensor f = Tensors.of(new double[][] {{1, 0}, {0, 1}});
    Lame.Settings settings = Lame.Settings.defaults();
    assertThatThrownBy(() -> Lame.assign(Tensors.of(new double[][] {{3, -1}, {0, 1}}), f, settings))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("softmax of logits");
    assertThatThrownBy(
            () -> Lame.assign(Tensors.of(new double[][] {{.5, .6}, {0, 1}}), f, settings))
        .hasMessageContaining("softmax of logits");
    assertThatThrownBy(
            () -> Lame.assign(Tensors.of(new double[][] {{Double.NaN, 1}, {0, 1}}), f, settings))
        .hasMessageContaining("NaN");
    assertThatThrownBy(() -> Lame.assign(Tensors.of(new double[][] {{.5, .5}}), f, settings))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("N = 1");
    assertThatThrownBy(() -> settings(Affinity.KNN, 0)).hasMessageContaining("knn = 0");
  }
}
