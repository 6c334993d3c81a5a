package org.outrigger.select.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class AdaptInfinityTest {
  @Property(tries = 100)
  void fittedBudgetsAddUpAndFitTheClusters(
      @ForAll @IntRange(min = 1, max = 12) int k,
      @ForAll @IntRange(min = 1, max = 300) int total,
      @ForAll @IntRange(min = 0, max = 1000) int seed) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      int[] sizes = Tensors.ints(rng.uniform(k).mul(new Scalar(60.0)).floor().add(new Scalar(1.0)));
      double[] weights = Tensors.doubles(rng.uniform(k));
      for (int[] raw :
          List.of(
              ClusterBudgets.balanced(sizes, total),
              ClusterBudgets.weighted(sizes, weights, total))) {
        int[] fitted = ClusterBudgets.fit(raw, sizes, total);
        assertThat(Arrays.stream(fitted).sum()).isEqualTo(Math.min(total, sum(sizes)));
        assertThat(IntStream.range(0, k)).allMatch(i -> fitted[i] >= 0 && fitted[i] <= sizes[i]);
      }
    }
  }

  private static int sum(int[] values) {
    return Arrays.stream(values).sum();
  }

  @Property(tries = 60)
  void everyDrawGivesAsManyDifferentSamplesAsAsked(
      @ForAll @IntRange(min = 1, max = 80) int n,
      @ForAll @IntRange(min = 0, max = 80) int wanted,
      @ForAll CoverageSampling.Draw how) {
    Torch.start();
    int budget = Math.min(n, wanted);
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(n);
        Rng again = new Rng(n)) {
      Tensor scores = new Rng(wanted).normal(ScalarType.Double, n);
      int[] drawn = CoverageSampling.draw(scores, budget, how, 10, 0.05, rng);
      assertThat(drawn).hasSize(budget).doesNotHaveDuplicates().isSorted();
      assertThat(CoverageSampling.draw(scores, budget, how, 10, 0.05, again))
          .containsExactly(drawn);
    }
  }

  @Test
  void strataThatAskForTooMuchNeverGoBelowZero() {
    // Rounding up gives 2 + 2 + 2 of a budget of 5, then an empty stratum divides what is left.
    assertThat(CoverageSampling.taken(new int[] {9, 9, 9, 0, 9}, 6)).containsExactly(2, 2, 2, 0, 0);
  }

  @Test
  void theScoreThatSpreadsMostIsChosenWhateverItsUnit() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor x = rng.normal(ScalarType.Double, 50);
      double bits = ScoreChoice.entropyBits(x, 50, 4);
      assertThat(ScoreChoice.entropyBits(x.mul(new Scalar(1000.0)), 50, 4))
          .isCloseTo(bits, within(1e-9));
      Tensor constant = x.mul(new Scalar(0.0)).add(new Scalar(0.1));
      assertThat(ScoreChoice.entropyBits(constant, 50, 4)).isZero();
      Tensor both =
          org.bytedeco.pytorch.global.torch.stack(
              new org.bytedeco.pytorch.TensorVector(constant, x), 1);
      assertThat(ScoreChoice.choose(both, new double[] {0, bits})).isEqualTo(1);
      assertThat(ScoreChoice.choose(both, new double[] {0, 0})).isEqualTo(1);
    }
  }

  @Test
  void redundancyIsThatOfAllPairsAndOlderSamplesWin() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2)) {
      Tensor x = rng.normal(ScalarType.Double, 1100, 4);
      SemanticDuplicates.Redundancy found = SemanticDuplicates.redundancy(x);
      Tensor unit = SemanticDuplicates.normalised(x);
      double[][] all = Tensors.rows(unit.mm(unit.t()));
      for (int i : new int[] {0, 1, 511, 512, 1099}) {
        double best = IntStream.range(0, i).mapToDouble(i0 -> all[i][i0]).max().orElse(0);
        assertThat(found.similarity()[i]).isCloseTo(Math.max(0, best), within(1e-12));
      }
      Tensor twice = Tensors.of(new double[][] {{1, 0}, {0, 1}, {1, 0}});
      AdaptInfinity.Pruning pruned = AdaptInfinity.prune(twice, new int[3], 2);
      assertThat(pruned.kept()).containsExactly(0, 1);
      assertThat(pruned.dropped()).containsExactly(2);
      assertThat(pruned.resembles()).containsExactly(0);
      assertThatThrownBy(() -> SemanticDuplicates.redundancy(twice.mul(new Scalar(0.0))))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("norm 0");
    }
  }

  @Test
  void theProjectionKeepsInnerProductsAndItsDirectionsForEver() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3)) {
      Tensor x = rng.normal(2, 300);
      RademacherProjection small = new RademacherProjection(64, 0);
      RademacherProjection large = new RademacherProjection(4096, 0);
      assertThat(Tensors.floats(large.directions(0, 64, 300)))
          .containsExactly(Tensors.floats(small.directions(0, 64, 300)))
          .containsOnly(-1, 1);
      double exact = x.select(0, 0).dot(x.select(0, 1)).item_double();
      Tensor p = large.project(x);
      assertThat(p.select(0, 0).dot(p.select(0, 1)).item_double()).isCloseTo(exact, within(20.0));
      try (RademacherProjection.Projector held = large.projector(300)) {
        double apart = held.project(x).sub(p).abs().amax().item_double();
        assertThat(apart).isLessThan(1e-4);
      }
    }
  }

  @Test
  void clustersAreFoundAndEmptyOnesDropped() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(4)) {
      Tensor centre = Tensors.of(new double[][] {{0, 0}, {9, 0}, {0, 9}});
      int[] which = IntStream.range(0, 90).map(i -> i % 3).toArray();
      Tensor x =
          centre
              .index_select(0, Tensors.labels(which))
              .add(rng.normal(ScalarType.Double, 90, 2).mul(new Scalar(0.3)));
      MiniBatchKMeans.Clusters found = MiniBatchKMeans.fit(x, 3, 30, 100, rng);
      for (int i = 3; i < 90; i++) {
        assertThat(found.assignment()[i]).isEqualTo(found.assignment()[i % 3]);
      }
      assertThat(found.within()).isBetween(10.0, 60.0);
      Tensor same = x.mul(new Scalar(0.0)).add(new Scalar(1.0));
      assertThat(MiniBatchKMeans.fit(same, 5, 30, 10, rng).sizes()).containsExactly(90);
    }
  }

  @Test
  void badInputIsRefusedWithWhatToDo() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(5)) {
      AdaptInfinity method = new AdaptInfinity();
      Tensor vectors = rng.normal(12, 8);
      Tensor scores = rng.normal(ScalarType.Double, 12, 1);
      List<String> names = List.of("el2n");
      assertThatThrownBy(() -> method.choose(vectors, scores, names, 0, 0))
          .hasMessageContaining("M = 0");
      assertThatThrownBy(
              () -> method.choose(vectors.narrow(0, 0, 5), scores.narrow(0, 0, 5), names, 3, 0))
          .hasMessageContaining("K = 10 exceeds the pool of 5");
      assertThatThrownBy(() -> method.choose(vectors, scores.narrow(0, 0, 5), names, 3, 0))
          .hasMessageContaining("N = 12");
      Tensor empty = scores.mul(new Scalar(Double.NaN));
      assertThatThrownBy(() -> method.choose(vectors, empty, names, 3, 0))
          .hasMessageContaining("'el2n' is NaN for all");
      assertThatThrownBy(
              () ->
                  Methods.create(
                      AdaptInfinity.class, "adapt-infinity", java.util.Map.of("scores", "loss")))
          .hasMessageContaining("There is no score 'loss'");
      assertThat(method.choose(vectors, scores, names, 99, 0).rows()).hasSize(12);
      assertThat(method.choose(vectors.mul(new Scalar(0.0)), scores, names, 4, 0).clusters())
          .singleElement()
          .matches(AdaptInfinity.ClusterReport::learned);
    }
  }
}
