package org.outrigger.select;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.select.ClassNeighbours.Norm;

class TmiTest {
  private static final Tmi.Settings FINE = Tmi.Settings.defaults().withMinDist(1e-6);

  /** The entropy of a standard normal is D/2 log(2 pi e); of the unit cube it is 0. */
  @Test
  void theEntropyIsThatOfKnownDistributions() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor one = torch.zeros(new long[] {4000}).to(ScalarType.Long);
      Tensor normal = rng.normal(ScalarType.Double, 4000, 2);
      double expected = Math.log(2 * Math.PI * Math.E);
      assertThat(Tmi.measure(normal, one, FINE).entropies()[0]).isCloseTo(expected, within(0.1));
      Tensor cube = rng.uniform(ScalarType.Double, 4000, 2);
      assertThat(Tmi.measure(cube, one, FINE).entropies()[0]).isCloseTo(0, within(0.1));
      // The Euclidean one has log(2 e) too, D log 2 more than the entropy.
      assertThat(Tmi.measure(normal, one, FINE.withNorm(Norm.EUCLIDEAN)).entropies()[0])
          .isCloseTo(expected + 2 * Math.log(2), within(0.1));
    }
  }

  /** Beyond both block sizes, against all distances at once. */
  @ParameterizedTest
  @EnumSource(Norm.class)
  void blocksFindTheNeighboursThatAllPairsHave(Norm norm) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2)) {
      Tensor x = rng.normal(ScalarType.Double, 4500, 3);
      Tensor labels = torch.zeros(new long[] {4500}).to(ScalarType.Long);
      double[] found = ClassNeighbours.of(x, labels, 3, norm, false).distances();
      Tensor some = x.narrow(0, 4300, 100);
      Tensor apart = some.unsqueeze(1).sub(x.unsqueeze(0)).abs();
      Tensor all =
          norm == Norm.MAX ? apart.amax(new long[] {2}, false) : apart.square().sum(2).sqrt();
      double[] expected = Tensors.doubles(all.kthvalue(4, 1, false).get0());
      for (int i = 0; i < 100; i++) {
        assertThat(found[4300 + i]).isCloseTo(expected[i], within(1e-12));
      }
    }
  }

  /** n psi-free: H grows by D log s where features are multiplied by s. */
  @Test
  void itDependsOnTheScaleUnlessStandardised() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(60, 3);
      Tensor x = Clouds.features(labels, 4, 1, 3);
      Tensor large = x.mul(new Scalar(10.0));
      double small = Tmi.measure(x, labels, FINE.withSum(true)).score();
      assertThat(Tmi.measure(large, labels, FINE.withSum(true)).score())
          .isCloseTo(small + 4 * Math.log(10), within(1e-9));
      assertThat(Tmi.measure(large, labels, FINE.withStandardise(true)).score())
          .isCloseTo(Tmi.measure(x, labels, FINE.withStandardise(true)).score(), within(1e-9));
    }
  }

  @Test
  void theSumIsTheMeanTimesTheClassesThatCount() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Tensors.labels(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3);
      Tensor x = Clouds.features(labels, 2, 1, 4);
      Tmi.Result mean = Tmi.measure(x, labels, FINE);
      Tmi.Result sum = Tmi.measure(x, labels, FINE.withSum(true));
      assertThat(mean.dropped()).containsExactly(2);
      assertThat(mean.entropies()[3]).isZero();
      assertThat(mean.score()).isCloseTo(sum.score() / 3, within(1e-12));
      assertThat(mean.priors()).containsExactly(5 / 13.0, 5 / 13.0, 2 / 13.0, 1 / 13.0);
    }
  }

  @Test
  void theFloorIsReportedAndMayBeRelativeToAllCandidates() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(40, 2);
      Tensor x = Clouds.features(labels, 3, 1, 5);
      Tmi.Settings usual = Tmi.Settings.defaults();
      Tensor tiny = x.mul(new Scalar(1e-3));
      assertThat(Tmi.measure(tiny, labels, usual).floored()).isEqualTo(1);
      assertThat(Tmi.measure(x, labels, FINE).floored()).isZero();
      Tmi.Settings relative = usual.withRelative(1);
      Tmi.Result own = Tmi.measure(tiny, labels, relative);
      assertThat(own.floored()).isBetween(0.4, 0.6);
      ClassNeighbours first = Tmi.neighbours(x, labels, relative);
      ClassNeighbours second = Tmi.neighbours(tiny, labels, relative);
      double common = Tmi.floor(List.of(first, second), relative);
      assertThat(common).isGreaterThan(own.floor());
      // A ranking sets one floor for all its candidates.
      Tmi tmi = new Tmi(relative);
      ModelRanking ranking = new ModelRanking(Map.of("tmi", tmi));
      ranking.add("large", new Candidate(x, labels, null), score -> {});
      ranking.add("tiny", new Candidate(tiny, labels, null), score -> {});
      assertThat(ranking.sorted("tmi").get(0).name()).isEqualTo("large");
      assertThat(ranking.sorted("tmi").get(1).score("tmi"))
          .isEqualTo(Tmi.result(second, relative, common).score());
    }
  }

  @Test
  void duplicatesLieOnTheFloor() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor x = torch.zeros(new long[] {12, 3}).to(ScalarType.Double);
      Tensor labels = Clouds.labels(12, 2);
      Tmi.Result result = Tmi.measure(x, labels, Tmi.Settings.defaults());
      double psi = Tensors.of(new double[] {3, 6}, 2).digamma().diff().item_double();
      assertThat(result.entropies()[0]).isCloseTo(psi + 3 * Math.log(2), within(1e-12));
    }
  }

  @Test
  void whatCannotBeMeasuredIsRefused() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Tensors.labels(0, 0, 0, 1, 1);
      Tensor x = Clouds.features(labels, 2, 1, 6);
      assertThatThrownBy(() -> Tmi.measure(x, labels, Tmi.Settings.defaults()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("no class has more than k = 3 rows");
      assertThatThrownBy(() -> Tmi.Settings.defaults().withK(0)).hasMessageContaining("k = 0");
      assertThatThrownBy(() -> Tmi.Settings.defaults().withMinDist(0))
          .hasMessageContaining("minDist = 0.0");
      Tensor constant = torch.zeros_like(x);
      assertThatThrownBy(
              () ->
                  Tmi.measure(
                      constant, labels, Tmi.Settings.defaults().withK(1).withStandardise(true)))
          .hasMessageContaining("do not vary");
      assertThatThrownBy(
              () ->
                  Tmi.measure(constant, labels, Tmi.Settings.defaults().withK(1).withRelative(0.1)))
          .hasMessageContaining("set minDist instead");
    }
  }
}
