package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Outlier exposure, energy fine-tuning, the entropic open-set loss, LogitNorm, weighted energy. */
class TrainingLossesTest {
  private static List<TrainingObjective> objectives() {
    return List.of(
        new OutlierExposure(), new EnergyFineTuning(), new EntropicOpenSet(), new LogitNorm());
  }

  @Property(tries = 20)
  void outlierExposurePushesOutlierLogitsTowardsTheirMean(@ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor logits = rng.normal(ScalarType.Double, 6, 4).requires_grad_(true);
            Tensor labels = Tensors.labels(0, 1, 3, -1, -1, -5);
            Tensor g =
                Gradients.of(new OutlierExposure().loss(new Output(logits, null), labels), logits);
            Tensor outliers = torch.softmax(logits, 1).sub(new Scalar(0.25)).narrow(0, 3, 3);
            // Descent lowers exactly the classes that have more than their even share.
            assertThat(g.narrow(0, 3, 3).sign().equal(outliers.sign())).isTrue();
            assertThat(g.narrow(0, 3, 3).allclose(outliers.mul(new Scalar(0.5 / 3)))).isTrue();
          }
        });
  }

  @Property(tries = 20)
  void logitNormDoesNotSeeTheScaleOfTheLogits(
      @ForAll long seed, @ForAll @DoubleRange(min = 0.1, max = 100) double scale) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor logits = rng.normal(ScalarType.Double, 5, 3);
            Tensor labels = Tensors.labels(0, 1, 2, 0, -1);
            double plain = LogitNorm.loss(logits, labels, 0.04).item_double();
            double scaled =
                LogitNorm.loss(logits.mul(new Scalar(scale)), labels, 0.04).item_double();
            assertThat(scaled).isCloseTo(plain, within(1e-4 * (1 + plain)));
          }
        });
  }

  @Test
  void energiesInsideTheirMarginsCostNothing() {
    Scopes.run(
        () -> {
          Tensor logits = Tensors.of(new double[][] {{30, 0}, {0, 0}});
          Tensor labels = Tensors.labels(0, -1);
          double loss =
              EnergyFineTuning.loss(
                      logits, labels, new EnergyFineTuning.Settings(1, -20, -10, false))
                  .item_double();
          assertThat(loss).isCloseTo(0, within(1e-9));
          double swapped =
              EnergyFineTuning.loss(
                      logits,
                      Tensors.labels(-1, 0),
                      new EnergyFineTuning.Settings(1, -20, -10, false))
                  .item_double();
          assertThat(swapped)
              .isCloseTo(400 + Math.pow(20 - Math.log(2), 2) + Math.log(2), within(1e-9));
        });
    assertThatThrownBy(() -> new EnergyFineTuning.Settings(1, -5, -6, false))
        .hasMessageContaining("marginOut");
  }

  @Test
  void withoutOutliersOnlyCrossEntropyRemainsAndWithoutKnownRowsTheLossIsFinite() {
    Scopes.run(
        () -> {
          Tensor logits = Tensors.of(new double[][] {{1, 2, 3}, {0, -1, 2}});
          double entropy = torch.cross_entropy_loss(logits, Tensors.labels(2, 0)).item_double();
          Output output = new Output(logits, null);
          assertThat(new OutlierExposure().loss(output, Tensors.labels(2, 0)).item_double())
              .isCloseTo(entropy, within(1e-12));
          assertThat(new EntropicOpenSet().loss(output, Tensors.labels(2, 0)).item_double())
              .isCloseTo(entropy, within(1e-12));
          for (TrainingObjective objective : objectives()) {
            assertThat(objective.loss(output, Tensors.labels(-1, -1)).item_double()).isFinite();
          }
        });
  }

  @Test
  void labelsThatDoNotFitAreAClearError() {
    Scopes.run(
        () -> {
          Output output = new Output(Tensors.of(new double[][] {{1, 2, 3}, {0, -1, 2}}), null);
          for (TrainingObjective objective : objectives()) {
            assertThatThrownBy(() -> objective.loss(output, Tensors.labels(0, 3)))
                .hasMessageContaining("classes are 0 to 2");
            assertThatThrownBy(() -> objective.loss(output, Tensors.labels(0)))
                .hasMessageContaining("shape");
          }
        });
    assertThatThrownBy(() -> new LogitNorm.Settings(0)).hasMessageContaining("tau");
    assertThatThrownBy(() -> new OutlierExposure.Settings(-1, false))
        .hasMessageContaining("lambda");
  }

  @Property(tries = 20)
  void theWeightedEnergyIsTheEnergyForWeightsOfOneAndIgnoresClassesWithoutWeight(
      @ForAll long seed) {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(seed)) {
            Tensor logits = rng.normal(ScalarType.Double, 5, 3).mul(new Scalar(300.0));
            Tensor ones = torch.ones_like(logits.select(0, 0));
            assertThat(WeightedEnergy.score(logits, ones).allclose(Energy.score(logits, 1)))
                .isTrue();
            Tensor weights = Tensors.of(new double[] {1, -2, 1}, 3).requires_grad_(true);
            Tensor two = logits.index_select(1, Tensors.labels(0, 2));
            Tensor score = WeightedEnergy.score(logits, weights);
            assertThat(score.allclose(Energy.score(two, 1))).isTrue();
            assertThat(Gradients.of(score.sum(), weights).isfinite().all().item_bool()).isTrue();
            assertThatThrownBy(() -> WeightedEnergy.score(logits, ones.neg()))
                .hasMessageContaining("no energy weight is above 0");
          }
        });
  }

  @Test
  void theWeightedEnergyKeepsItsWeights() {
    Scopes.run(
        () -> {
          WeightedEnergy saved = new WeightedEnergy(new WeightedEnergy.Settings(List.of(0.5, 2.0)));
          WeightedEnergy restored = new WeightedEnergy();
          restored.restore(saved.state());
          Output output = new Output(Tensors.of(new float[] {1, 2, 3, -1}, 2, 2), null);
          assertThat(Tensors.doubles(restored.score(output)))
              .containsExactly(Tensors.doubles(saved.score(output)));
          Output three = new Output(Tensors.of(new float[3], 1, 3), null);
          assertThatThrownBy(() -> saved.score(three)).hasMessageContaining("3 classes");
        });
  }
}
