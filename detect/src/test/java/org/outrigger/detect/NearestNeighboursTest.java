package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class NearestNeighboursTest {
  private static double[] sortedDistances(double[] query, double[][] bank) {
    return Arrays.stream(bank)
        .mapToDouble(
            row -> {
              double sum = 0;
              for (int j = 0; j < row.length; j++) {
                sum += (row[j] - query[j]) * (row[j] - query[j]);
              }
              return sum;
            })
        .sorted()
        .toArray();
  }

  @Property(tries = 30)
  void theyAreThoseOfBruteForce(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 900) int rows,
      @ForAll @IntRange(min = 1, max = 6) int k) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      int wanted = Math.min(k, rows);
      Tensor bank = rng.normal(ScalarType.Double, rows, 3);
      Tensor queries = rng.normal(ScalarType.Double, 4, 3);
      NearestNeighbours.Found found = NearestNeighbours.byDistance(queries, bank, wanted);
      double[][] distances = Tensors.rows(found.values());
      double[] kth =
          Tensors.doubles(
              NearestNeighbours.kthDistance(
                  queries, bank, NearestNeighbours.halfLengths(bank), wanted));
      for (int i = 0; i < 4; i++) {
        double[] expected = sortedDistances(Tensors.rows(queries)[i], Tensors.rows(bank));
        assertThat(distances[i]).containsExactly(Arrays.copyOf(expected, wanted), within(1e-9));
        assertThat(kth[i]).isCloseTo(expected[wanted - 1], within(1e-9));
      }
    }
  }

  @Property(tries = 20)
  void theTopOfARowIsThatOfAFullSort(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 2000) int columns,
      @ForAll @IntRange(min = 1, max = 20) int k) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      // Few distinct values: ties must not lose any.
      Tensor products = rng.normal(3, columns).mul(new Scalar(3.0)).round();
      int wanted = Math.min(k, columns);
      NearestNeighbours.Found found = NearestNeighbours.top(products, wanted);
      assertThat(Tensors.floats(found.values()))
          .containsExactly(Tensors.floats(products.topk(wanted).get0()));
      assertThat(Tensors.floats(products.gather(1, found.indices())))
          .containsExactly(Tensors.floats(found.values()));
    }
  }

  @Property(tries = 20)
  void theScoreDoesNotDependOnTheLengthOfAFeature(
      @ForAll long seed, @ForAll @DoubleRange(min = 0.01, max = 1000) double scale) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      Tensor bank = Knn.unit(rng.normal(ScalarType.Double, 40, 5));
      Tensor features = rng.normal(ScalarType.Double, 6, 5);
      assertThat(Tensors.doubles(Knn.score(features.mul(new Scalar(scale)), bank, 3)))
          .containsExactly(Tensors.doubles(Knn.score(features, bank, 3)), within(1e-9));
    }
  }

  @Test
  void aCopyOfAKnownRowIsAtDistanceZeroEvenInFloat32() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3)) {
      Tensor features = rng.normal(30, 7);
      assertThat(Tensors.floats(Knn.score(features, Knn.unit(features), 1))).containsOnly(0f);
    }
  }

  @Test
  void aZeroFeatureIsAtDistanceOneFromEveryUnitFeature() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor bank = Knn.unit(Tensors.of(new double[][] {{1, 0}, {0, 0}, {-1, 0}}));
      Tensor queries = Tensors.of(new double[][] {{0, 0}, {2, 0}});
      assertThat(Tensors.doubles(Knn.score(queries, bank, 1))).containsExactly(0, 0);
      assertThat(Tensors.doubles(Knn.score(queries, bank, 2))).containsExactly(1, 1);
      assertThat(Tensors.doubles(Knn.score(queries, bank, 3))).containsExactly(1, 4);
    }
  }

  @Test
  void moreNeighboursThanKnownRowsIsAnError() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Detector knn = new Knn(21)) {
      Blobs blobs = new Blobs(1, 2, 3);
      assertThatThrownBy(() -> knn.fit(blobs.known(blobs.near(20))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("k = 21");
      assertThat(knn.fitted()).isFalse();
    }
  }

  @Test
  void beyondItsLimitAGraphFindsTheNeighboursAndIsRestoredAsItWas() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Detector exact = new Knn(3);
        Detector graph = new Knn(new Knn.Settings(3, 100));
        Detector restored = new Knn()) {
      Blobs blobs = new Blobs(1, 4, 8);
      Tensor known = blobs.near(600).to(ScalarType.Float);
      Tensor test = blobs.near(50).to(ScalarType.Float);
      exact.fit(blobs.known(known));
      graph.fit(blobs.known(known));
      float[] wanted = Tensors.floats(exact.score(blobs.output(test)));
      float[] found = Tensors.floats(graph.score(blobs.output(test)));
      int same = 0;
      for (int i = 0; i < wanted.length; i++) {
        assertThat(found[i]).isGreaterThanOrEqualTo(wanted[i] - 1e-6f);
        same += found[i] - wanted[i] < 1e-6f ? 1 : 0;
      }
      assertThat(same).isGreaterThanOrEqualTo(48);
      restored.restore(graph.state());
      assertThat(Tensors.floats(restored.score(blobs.output(test)))).containsExactly(found);
      State good = graph.state();
      Map<String, Tensor> tensors = new HashMap<>(good.tensors());
      tensors.put("graph", good.tensor("graph").narrow(0, 0, 40));
      State cut = new State(good.type(), 1, good.values(), tensors);
      assertThatThrownBy(() -> restored.restore(cut)).isInstanceOf(OutriggerException.class);
    }
  }
}
