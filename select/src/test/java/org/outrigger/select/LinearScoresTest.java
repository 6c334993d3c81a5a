package org.outrigger.select;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Shortcuts in the mathematics against the definitions. */
class LinearScoresTest {
  private static Tensor covariance(Tensor x) {
    return torch.cov(x.t());
  }

  private static Tensor classMeans(Tensor x, Tensor labels) {
    Rows rows = Rows.of(x);
    return rows.means(labels, Rows.counts(labels)).index_select(0, labels);
  }

  @Test
  void theHScoreIsTheTraceOfItsDefinition() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(50, 4);
      Tensor x = Clouds.features(labels, 6, 1, 1);
      double expected =
          torch
              .linalg_pinv(covariance(x), 1e-15, true)
              .mm(covariance(classMeans(x, labels)))
              .trace()
              .item_double();
      assertThat(HScore.score(x, labels)).isCloseTo(expected, within(1e-10));
    }
  }

  @Test
  void withFewRowsTheHScoreSaturatesAndTheRegularisedOneDoesNot() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(12, 3);
      Tensor noise = Clouds.features(labels, 40, 0, 1);
      assertThat(HScore.score(noise, labels)).isCloseTo(2, within(1e-8));
      assertThat(RegularisedHScore.score(noise, labels)).isLessThan(1.5);
    }
  }

  /** Both the symmetric product in panels and that of few rows, over several blocks. */
  @ParameterizedTest
  @CsvSource({"300, 150", "90, 70000"})
  void symmetricProductsAreThoseOfTheWholeMatrix(long n, long d) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor x = rng.normal(n, d);
      Tensor exact = x.to(ScalarType.Double);
      boolean tall = n > d;
      Tensor expected = tall ? exact.t().mm(exact) : exact.mm(exact.t());
      Tensor found = tall ? Rows.of(x).gram() : Rows.of(x).outer();
      assertThat(found.sub(expected).abs().amax().item_double()).isLessThan(1e-8);
    }
  }

  /** A rate from Z^T Z and one from Z Z^T are the same. */
  @ParameterizedTest
  @ValueSource(doubles = {1e-4, 1, 1e-22})
  void transRateIsTheDifferenceOfLogDeterminants(double eps) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(24, 3);
      Tensor x = Clouds.features(labels, 5, 1, 2);
      Tensor z = x.sub(x.mean(0));
      double inside = 0;
      for (int c = 0; c < 3; c++) {
        inside += rate(z.index_select(0, labels.eq(new Scalar(c)).nonzero().flatten()), eps) / 3;
      }
      assertThat(TransRate.score(x, labels, eps)).isCloseTo(rate(z, eps) - inside, within(1e-6));
    }
  }

  private static double rate(Tensor z, double eps) {
    Tensor inside = z.t().mm(z).div(new Scalar(z.size(0) * eps));
    return inside
            .add(torch.eye(z.size(1), new TensorOptions(ScalarType.Double)))
            .logdet()
            .item_double()
        / 2;
  }

  @Test
  void theMixtureFindsCloudsAndItsPosteriorsAreProbabilities() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(5)) {
      Tensor labels = Clouds.labels(300, 3);
      Tensor x = Clouds.features(labels, 2, 20, 7);
      Tensor p = GaussianMixture.posteriors(x, 3, 50, 1e-6, 1e-6, rng);
      assertThat(p.sum(1).sub(new Scalar(1.0)).abs().amax().item_double()).isLessThan(1e-12);
      // The components are the clouds, in some order.
      Tensor found = p.argmax(new LongOptional(1), false);
      Tensor table = found.mul(new Scalar(3L)).add(labels).bincount().to(ScalarType.Double);
      assertThat(Tensors.doubles(table.gt(new Scalar(0.0)).sum())).containsExactly(3);
    }
  }

  /** LEEP of a model that knows the classes is 0; of one that says nothing it is -H(Y). */
  @Test
  void leepAndNceHaveTheirBounds() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(40, 4);
      Tensor knows = torch.one_hot(labels, 4).to(ScalarType.Double);
      assertThat(Leep.score(knows, labels)).isCloseTo(0, within(1e-12));
      assertThat(Nce.score(labels, labels)).isCloseTo(0, within(1e-12));
      Tensor flat = torch.ones_like(knows).div(new Scalar(4.0));
      assertThat(Leep.score(flat, labels)).isCloseTo(-Math.log(4), within(1e-12));
      assertThat(Nce.score(torch.zeros_like(labels), labels))
          .isCloseTo(-Math.log(4), within(1e-12));
    }
  }

  @Test
  void principalComponentsKeepDistancesWhenAllAreKept() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(20, 2);
      Tensor x = Clouds.features(labels, 30, 1, 3);
      Tensor y = Principal.share(x, 1);
      assertThat(y.size(1)).isLessThanOrEqualTo(20);
      Tensor centred = x.sub(x.mean(0));
      assertThat(y.mm(y.t()).sub(centred.mm(centred.t())).abs().amax().item_double())
          .isLessThan(1e-9);
      assertThat(Principal.first(x, 4).size(1)).isEqualTo(4);
      assertThat(Principal.share(x, 0.5).size(1)).isBetween(1L, 10L);
    }
  }
}
