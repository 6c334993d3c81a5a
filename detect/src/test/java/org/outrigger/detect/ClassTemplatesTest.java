package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** KL matching, OpenMax, NCI and VRA. */
class ClassTemplatesTest {
  private static List<Double> list(Tensor values) {
    return Arrays.stream(Tensors.doubles(values)).boxed().toList();
  }

  @Property(tries = 20)
  void klScoresAreNotNegativeAndZeroOnATemplate(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor known = rng.normal(ScalarType.Double, 40, 5).mul(new Scalar(3.0));
            Tensor templates = KlMatching.templates(known);
            assertThat(list(templates.sum(1)))
                .allSatisfy(sum -> assertThat(sum).isCloseTo(1, within(1e-12)));
            Tensor scores = KlMatching.score(rng.normal(ScalarType.Double, 10, 5), templates);
            assertThat(list(scores)).allMatch(s -> s >= 0);
            Tensor atTemplates =
                KlMatching.score(templates.log().clamp_min(new Scalar(-700)), templates);
            assertThat(list(atTemplates))
                .allSatisfy(score -> assertThat(score).isCloseTo(0, within(1e-10)));
          }
        });
  }

  @Property(tries = 20)
  void klScoresIgnoreAShiftOfTheLogitsAndTheOrderOfClasses(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor known = rng.normal(ScalarType.Double, 40, 4).mul(new Scalar(2.0));
            Tensor tested = rng.normal(ScalarType.Double, 6, 4);
            double[] scores =
                Tensors.doubles(KlMatching.score(tested, KlMatching.templates(known)));
            Tensor order = rng.permutation(4);
            Tensor turned = KlMatching.templates(known.index_select(1, order).add(new Scalar(7.0)));
            double[] again =
                Tensors.doubles(KlMatching.score(tested.index_select(1, order), turned));
            for (int i = 0; i < scores.length; i++) {
              assertThat(again[i]).isCloseTo(scores[i], within(1e-10));
            }
          }
        });
  }

  @Property(tries = 20)
  void openMaxProbabilitiesSumToOneAndDistanceRaisesTheUnknown(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor logits = rng.normal(ScalarType.Double, 9, 5).mul(new Scalar(200.0));
            Tensor w = rng.uniform(ScalarType.Double, 9, 5);
            Tensor p = OpenMax.probabilities(logits, w, 3);
            assertThat(p.shape()).containsExactly(9, 6);
            assertThat(list(p.sum(1)))
                .allSatisfy(sum -> assertThat(sum).isCloseTo(1, within(1e-12)));
            Tensor plain = OpenMax.probabilities(logits, torch.zeros_like(w), 3);
            Tensor zero = Tensors.of(new double[9], 9, 1);
            Tensor all = torch.cat(new TensorVector(zero, logits), 1);
            assertThat(plain.allclose(torch.softmax(all, 1))).isTrue();
          }
        });
  }

  @Test
  void theWeibullFitFindsTheParametersOfASample() {
    // Quantiles of a Weibull distribution with shape 2.5 and scale 3.
    double[] sample = new double[20_000];
    for (int i = 0; i < sample.length; i++) {
      sample[i] = 3 * Math.pow(-Math.log1p(-(i + 0.5) / sample.length), 1 / 2.5);
    }
    Weibull fit = Weibull.fit(sample, 0);
    assertThat(fit.shape()).isCloseTo(2.5, within(0.01));
    assertThat(fit.scale()).isCloseTo(3, within(0.005));
  }

  @Property(tries = 30)
  void theWeibullFitSatisfiesTheLikelihoodEquations(@ForAll long seed) {
    double[] tail = new Random(seed).doubles(20, 1, 4).toArray();
    Weibull fit = Weibull.fit(tail, 0);
    double k = fit.shape();
    double powers = Arrays.stream(tail).map(t -> Math.pow(t, k)).sum();
    double weighted = Arrays.stream(tail).map(t -> Math.pow(t, k) * Math.log(t)).sum();
    double logs = Arrays.stream(tail).map(Math::log).average().orElseThrow();
    assertThat(weighted / powers - 1 / k).isCloseTo(logs, within(1e-9));
    assertThat(Math.pow(fit.scale(), k)).isCloseTo(powers / tail.length, within(1e-6 * powers));
    // The shift by 10000 keeps as many digits: shape / translated scale is nearly shift-free.
    Weibull shifted = Weibull.fit(tail, 10_000);
    double top = 10_000 + Arrays.stream(tail).max().orElseThrow();
    double[] y = Arrays.stream(tail).map(t -> Math.log((10_000 + t) / top)).toArray();
    double s = Arrays.stream(y).map(v -> Math.exp(shifted.shape() * v)).sum();
    double sy = Arrays.stream(y).map(v -> Math.exp(shifted.shape() * v) * v).sum();
    assertThat(sy / s - 1 / shifted.shape())
        .isCloseTo(Arrays.stream(y).average().orElseThrow(), within(1e-9));
  }

  @Test
  void aConstantTailIsAnError() {
    assertThatThrownBy(() -> Weibull.fit(new double[] {2, 2, 2}, 0))
        .hasMessageContaining("two distinct values");
  }

  @Test
  void fittedDetectorsKeepTheirBitsAndSeparateWhatIsFar() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(4, 3, 8);
          Outputs known = blobs.known(blobs.near(120));
          Output near = blobs.output(blobs.near(60));
          Output mixed = blobs.output(torch.relu(blobs.far(60).add(new Scalar(22.0))));
          Fits.holds(new KlMatching(), new KlMatching(), known, near);
          Fits.holds(new Nci(new Nci.Settings(0.01)), new Nci(), known, near);
          Fits.holds(new Vra(new Vra.Settings(50, 90)), new Vra(), known, near);
          Fits.holds(
              new OpenMax(new OpenMax.Settings(2, 10, 0.7, false)), new OpenMax(), known, near);
          try (KlMatching detector = new KlMatching()) {
            detector.fit(known);
            assertThat(Auroc.of(detector.score(near), detector.score(mixed))).isGreaterThan(0.9);
          }
        });
  }

  @Test
  void openMaxNamesAClassWithoutCorrectRows() {
    Scopes.run(
        () -> {
          Tensor logits =
              Tensors.of(
                  new double[][] {
                    {3, 0, 1}, {2, 0, 1}, {0, 5, 1}, {0, 4, 1}, {9, 0, 1}, {8, 0, 1}
                  });
          Tensor labels = Tensors.labels(0, 0, 1, 1, 2, 2);
          OpenMax strict = new OpenMax();
          assertThatThrownBy(() -> strict.fit(Outputs.of(logits, null, labels, null)))
              .hasMessageContaining("class 2 has 0")
              .hasMessageContaining("correctly classified");
          OpenMax all = new OpenMax(new OpenMax.Settings(3, 20, 1, false));
          assertThatThrownBy(() -> all.fit(Outputs.of(logits, null, labels, null)))
              .hasMessageContaining("all equal");
          assertThatThrownBy(() -> all.fit(Outputs.of(logits, null, null, null)))
              .hasMessageContaining("needs class labels");
        });
  }

  @Test
  void vraDropsWeakAndCapsStrongActivations() {
    Scopes.run(
        () -> {
          Tensor z = Tensors.of(new double[] {0.1, 0.5, 2, 9}, 1, 4);
          assertThat(Tensors.doubles(Vra.rectify(z, 0.5, 3))).containsExactly(0, 0.5, 2, 3);
          LinearHead head =
              new LinearHead(torch.eye(4).to(ScalarType.Double), Tensors.of(new double[4], 4));
          double expected = -Math.log(1 + Math.exp(0.5) + Math.exp(2) + Math.exp(3));
          assertThat(Vra.score(z, head, 0.5, 3).item_double()).isCloseTo(expected, within(1e-12));
        });
    assertThatThrownBy(() -> new Vra.Settings(90, 80)).hasMessageContaining("high");
  }

  @Test
  void aFeatureAtTheMeanHasNoAlignment() {
    Scopes.run(
        () -> {
          Tensor z = Tensors.of(new double[] {1, -2}, 1, 2);
          Tensor logits = Tensors.of(new double[] {1, 0}, 1, 2);
          Tensor weight = Tensors.of(new double[] {1, 2, 3, 4}, 2, 2);
          Tensor score = Nci.score(z, logits, weight, z.squeeze(0), 0.1);
          assertThat(score.item_double()).isCloseTo(-0.3, within(1e-12));
        });
  }
}
