package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class PtOodTest {
  private static PtOod.Settings settings(int k, double bank) {
    return new PtOod.Settings(k, true, bank, 3);
  }

  private static double length(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return Math.sqrt(sum);
  }

  @Property(tries = 20)
  void theScoreIsTheKthSmallestDistanceBetweenUnitFeatures(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int k) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed);
              PtOod detector = new PtOod(settings(k, 1))) {
            Tensor known = rng.normal(ScalarType.Double, 10, 3);
            Tensor tested = rng.normal(ScalarType.Double, 4, 3);
            Tensor logits = rng.normal(ScalarType.Double, 10, 2);
            detector.fit(Outputs.of(logits, known, null, null));
            double[] scores =
                Tensors.doubles(detector.score(new Output(logits.narrow(0, 0, 4), tested)));
            double[][] bank = Tensors.rows(Knn.unit(known));
            double[][] unit = Tensors.rows(Knn.unit(tested));
            for (int i = 0; i < 4; i++) {
              double[] row = unit[i];
              double[] sorted =
                  Arrays.stream(bank).mapToDouble(b -> length(row, b)).sorted().toArray();
              assertThat(scores[i]).isCloseTo(sorted[k - 1], within(1e-9)).isBetween(0.0, 2.0);
            }
          }
        });
  }

  @Test
  void theScoreIgnoresTheLengthOfFeaturesAndTheLogits() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(5, 3, 6);
          Tensor tested = blobs.far(10);
          try (PtOod detector = new PtOod()) {
            detector.fit(blobs.known(blobs.near(40)));
            double[] scores = Tensors.doubles(detector.score(blobs.output(tested)));
            Output scaled =
                new Output(blobs.output(tested).logits().neg(), tested.mul(Tensors.number(7)));
            assertThat(Tensors.doubles(detector.score(scaled)))
                .containsExactly(scores, within(1e-12));
          }
        });
  }

  @Test
  void aFeatureOfLengthZeroIsAtDistanceOneFromTheBank() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(5, 3, 6);
          try (PtOod detector = new PtOod()) {
            detector.fit(blobs.known(blobs.near(40)));
            Tensor zero = blobs.near(1).mul(Tensors.number(0));
            assertThat(detector.score(blobs.output(zero)).item_double())
                .isCloseTo(1, within(1e-12));
          }
        });
  }

  @Test
  void theBankKeepsASeededShareOfTheKnownRows() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(5, 3, 6);
          Tensor train = blobs.near(100);
          try (PtOod some = new PtOod(settings(1, 0.1));
              PtOod again = new PtOod(settings(1, 0.1));
              PtOod other = new PtOod(new PtOod.Settings(1, true, 0.1, 4));
              PtOod all = new PtOod()) {
            some.fit(blobs.known(train));
            again.fit(blobs.known(train));
            other.fit(blobs.known(train));
            all.fit(blobs.known(train));
            double[] bank = Tensors.doubles(some.state().tensor("bank"));
            assertThat(some.state().tensor("bank").shape()).containsExactly(10, 6);
            assertThat(Tensors.doubles(again.state().tensor("bank"))).containsExactly(bank);
            assertThat(Tensors.doubles(other.state().tensor("bank"))).isNotEqualTo(bank);
            double[] few = Tensors.doubles(some.score(blobs.output(blobs.near(30))));
            assertThat(few).hasSize(30);
            Tensor tested = blobs.near(30);
            double[] thin = Tensors.doubles(some.score(blobs.output(tested)));
            double[] full = Tensors.doubles(all.score(blobs.output(tested)));
            for (int i = 0; i < 30; i++) {
              assertThat(thin[i]).isGreaterThanOrEqualTo(full[i] - 1e-12);
            }
          }
        });
  }

  @Test
  void asManyNeighboursAsTheBankHasRowsAreRefused() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(5, 3, 6);
          try (PtOod detector = new PtOod(settings(4, 0.1))) {
            assertThatThrownBy(() -> detector.fit(blobs.known(blobs.near(40))))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("k = 4")
                .hasMessageContaining("it has 4");
            assertThat(detector.fitted()).isFalse();
          }
        });
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    assertThatThrownBy(() -> settings(0, 1)).hasMessageContaining("k = 0");
    assertThatThrownBy(() -> settings(1, 0)).hasMessageContaining("bank = 0");
    assertThatThrownBy(() -> settings(1, 1.5)).hasMessageContaining("bank = 1.5");
    assertThatThrownBy(() -> settings(1, Double.NaN)).hasMessageContaining("bank = NaN");
  }
}
