package org.outrigger.adapt.ear;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.adapt.ear.HyperdimensionalFusion.Options;
import org.outrigger.adapt.ear.HyperdimensionalFusion.Pool;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class HyperdimensionalFusionTest {
  private static Tensor normal(long seed, long... shape) {
    try (Rng rng = new Rng(seed)) {
      return rng.normal(ScalarType.Double, shape);
    }
  }

  private static void assertClose(Tensor actual, Tensor expected, double tolerance) {
    assertThat(Tensors.doubles(actual))
        .containsExactly(Tensors.doubles(expected), within(tolerance));
  }

  private static Tensor identity(long size) {
    return torch.eye(size, new TensorOptions(ScalarType.Double));
  }

  @Test
  void projectionsHaveOrthonormalRowsOrColumns() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3)) {
            Tensor wide = HyperdimensionalFusion.projection(5, 40, rng);
            Tensor tall = HyperdimensionalFusion.projection(40, 5, rng);
            assertThat(wide.shape()).containsExactly(5, 40);
            assertThat(tall.shape()).containsExactly(40, 5);
            assertClose(wide.mm(wide.t()), identity(5), 1e-12);
            assertClose(tall.t().mm(tall), identity(5), 1e-12);
          }
        });
  }

  @Test
  void poolingBeforeAndAfterTakingTheMeanOffIsTheSame() {
    Scopes.run(
        () -> {
          Tensor map = normal(1, 4, 3, 2, 5);
          for (Pool pool : Pool.values()) {
            Tensor after = HyperdimensionalFusion.pool(map.sub(new Scalar(0.7)), pool);
            Tensor before = HyperdimensionalFusion.pool(map, pool).sub(new Scalar(0.7));
            assertClose(after, before, 1e-12);
          }
          assertThat(HyperdimensionalFusion.pool(normal(2, 4, 9, 3), Pool.MAX).shape())
              .as("tokens have their channels last")
              .containsExactly(4, 3);
          Tensor rows = normal(2, 4, 3);
          assertClose(HyperdimensionalFusion.pool(rows, Pool.MAX), rows, 0);
        });
  }

  @Test
  void theMeanOfALayerIsThatOfAllItsValues() {
    Scopes.run(
        () -> {
          Tensor map = normal(5, 3, 4, 2, 2);
          assertThat(HyperdimensionalFusion.layerMean(map).item_double())
              .isCloseTo(map.mean().item_double(), within(1e-12));
        });
  }

  @Test
  void oneLayerOfVectorsKeepsItsCosinesAsProjectionsAreOrthonormal() {
    Scopes.run(
        () -> {
          Tensor a = normal(1, 6, 7);
          Tensor b = normal(2, 3, 7);
          Tensor mean = torch.zeros(new long[] {}, new TensorOptions(ScalarType.Double));
          try (Rng rng = new Rng(3)) {
            List<Tensor> projection = List.of(HyperdimensionalFusion.projection(7, 50, rng));
            Tensor high =
                HyperdimensionalFusion.similarity(
                    HyperdimensionalFusion.describe(List.of(a), List.of(mean), projection),
                    HyperdimensionalFusion.describe(List.of(b), List.of(mean), projection));
            assertClose(high, HyperdimensionalFusion.similarity(a, b), 1e-12);
          }
        });
  }

  @Test
  void bindingIsItsOwnInverseAndHidesWhatItBinds() {
    Scopes.run(
        () -> {
          Tensor v = normal(1, 2, 4000);
          try (Rng rng = new Rng(3)) {
            Tensor signs = HyperdimensionalFusion.signs(4000, rng);
            assertClose(signs.mul(signs), torch.ones_like(signs), 0);
            Tensor bound = HyperdimensionalFusion.bind(v, signs);
            assertClose(HyperdimensionalFusion.bind(bound, signs), v, 0);
            assertThat(
                    HyperdimensionalFusion.similarity(bound, v)
                        .diagonal()
                        .abs()
                        .max()
                        .item_double())
                .isLessThan(0.1);
          }
        });
  }

  @Test
  void scoresAreMinusTheLargestCosineAndARowOfZerosHasCosineZero() {
    Scopes.run(
        () -> {
          Tensor bundles = Tensors.of(new double[] {2, 0, 0, 3}, 2, 2);
          Tensor rows = Tensors.of(new double[] {5, 0, 1, 1, 0, 0}, 3, 2);
          Tensor similarity = HyperdimensionalFusion.similarity(rows, bundles);
          double half = Math.sqrt(0.5);
          assertThat(Tensors.doubles(similarity))
              .containsExactly(new double[] {1, 0, half, half, 0, 0}, within(1e-12));
          assertThat(Tensors.doubles(HyperdimensionalFusion.score(similarity)))
              .containsExactly(new double[] {-1, -half, 0}, within(1e-12));
        });
  }

  @Test
  void descriptorsAreSumsThatAddMergeAndTakeOut() {
    Scopes.run(
        () -> {
          Tensor rows = normal(1, 8, 5);
          Tensor labels = Tensors.labels(0, 1, 0, 1, 0, 1, 0, 1);
          try (ClassDescriptors all = ClassDescriptors.of(rows, labels, 2);
              ClassDescriptors first =
                  ClassDescriptors.of(rows.narrow(0, 0, 4), labels.narrow(0, 0, 4), 2);
              ClassDescriptors second =
                  ClassDescriptors.of(rows.narrow(0, 4, 4), labels.narrow(0, 4, 4), 2)) {
            assertThat(all.rows()).containsExactly(4, 4);
            double[] one = Tensors.doubles(first.vectors());
            first.merge(second);
            assertClose(first.vectors(), all.vectors(), 1e-12);
            first.remove(rows.narrow(0, 4, 4), labels.narrow(0, 4, 4));
            assertThat(Tensors.doubles(first.vectors())).containsExactly(one, within(1e-12));
            assertThat(first.rows()).containsExactly(2, 2);
            assertThatThrownBy(() -> first.remove(rows, labels))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("without a row");
            try (ClassDescriptors signs = all.bipolar()) {
              assertThat(signs.bytes()).isLessThan(all.bytes() / 2);
              assertThat(Tensors.doubles(signs.vectors()))
                  .isEqualTo(Tensors.doubles(all.vectors().sign()));
              assertThatThrownBy(() -> signs.add(rows, labels))
                  .isInstanceOf(OutriggerException.class)
                  .hasMessageContaining("signs alone");
            }
          }
        });
  }

  @Test
  void scaledLayersWeighTheSame() {
    Scopes.run(
        () -> {
          Tensor small = normal(1, 50, 6);
          Tensor large = normal(2, 50, 6).mul(new Scalar(1000.0));
          List<Tensor> layers = List.of(small, large);
          try (HyperdimensionalFusion fusion =
              HyperdimensionalFusion.calibrate(layers, new Options(200, false, true, false, 1))) {
            List<Tensor> means = List.of(small.mean(), large.mean());
            Tensor one = fusion.describe(List.of(small, torch.zeros_like(large).add(means.get(1))));
            Tensor other =
                fusion.describe(List.of(torch.zeros_like(small).add(means.get(0)), large));
            double ratio = other.norm().item_double() / one.norm().item_double();
            assertThat(ratio).isBetween(0.9, 1.1);
          }
        });
  }

  @Test
  void whatCannotBeFusedIsRefused() {
    Scopes.run(
        () -> {
          Tensor x = normal(1, 4, 3);
          Tensor labels = Tensors.labels(0, 0, 1, 1);
          refused(() -> HyperdimensionalFusion.bundle(x, labels, 3), "Class 2 has no calibration");
          refused(() -> HyperdimensionalFusion.bundle(x, Tensors.labels(0, 0, 1, 5), 3), "0 to 2");
          refused(() -> HyperdimensionalFusion.similarity(x, torch.zeros_like(x)), "is zero");
          refused(
              () ->
                  HyperdimensionalFusion.calibrate(
                      List.of(x, x, x), new Options(2, false, false, false, 0)),
              "3 layers cannot be fused in 2 dimensions");
          refused(
              () ->
                  HyperdimensionalFusion.calibrate(
                      List.of(x.mul(new Scalar(Double.NaN))),
                      new Options(20, false, false, false, 0)),
              "NaN");
          refused(() -> HyperdimensionalFusion.pool(normal(1, 4), Pool.MAX), "cannot be pooled");
          refused(
              () -> HyperdimensionalFusion.describe(List.of(x), List.of(), List.of()),
              "one of each a layer");
        });
  }

  private static void refused(Runnable work, String words) {
    assertThatThrownBy(work::run)
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining(words);
  }
}
