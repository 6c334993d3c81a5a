package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Changes of training images, and objectives that want several views. */
class AugmentationTest {
  private static double apart(Tensor a, Tensor b) {
    return a.sub(b).abs().amax().item_double();
  }

  @Test
  void sameSeedSameImagesAndTheInputsStayAsTheyWere() {
    Scopes.run(
        () -> {
          try (Rng draw = new Rng(1);
              Rng one = new Rng(2);
              Rng two = new Rng(2)) {
            Tensor images = draw.uniform(8, 3, 6, 5);
            Tensor before = images.clone();
            Augmentation all =
                new ResizedCrop(0.2, true).then(ColourJitter.simClr()).then(new GaussianNoise(0.1));
            Tensor first = all.apply(images, one);
            assertThat(first.equal(all.apply(images, two))).isTrue();
            assertThat(first.equal(all.apply(images, two))).isFalse();
            assertThat(first.shape()).containsExactly(8, 3, 6, 5);
            assertThat(images.equal(before)).isTrue();
          }
        });
  }

  @Test
  void settingsThatChangeNothingChangeNothing() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1)) {
            Tensor images = rng.uniform(5, 3, 4, 4);
            assertThat(apart(new ColourJitter(0, 0, 0, 0, 1, 0).apply(images, rng), images))
                .isLessThan(1e-6);
            assertThat(apart(new ColourJitter(1, 1, 1, 0.5, 0, 0).apply(images, rng), images))
                .isZero();
            assertThat(new GaussianNoise(0).apply(images, rng).equal(images)).isTrue();
            Tensor still = images.mean(new long[] {2, 3}, true, null).expand_as(images);
            assertThat(apart(new ResizedCrop(0.2, true).apply(still, rng), still)).isLessThan(1e-6);
          }
        });
  }

  @Test
  void aCropShowsAPartOfTheImageAndHalfOfThemAreMirrored() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(3)) {
            // Brightness rises from left to right, so a crop's ends say where it was taken.
            Tensor ramp = torch.arange(new Scalar(32)).div(new Scalar(31.0));
            Tensor images = ramp.view(1, 1, 1, 32).expand(600, 1, 32, 32).contiguous();
            Tensor rows = new ResizedCrop(0.2, true).apply(images, rng).select(2, 16).squeeze(1);
            Tensor slope = rows.select(1, 31).sub(rows.select(1, 0));
            double mirrored = slope.lt(new Scalar(0)).to(slope.scalar_type()).mean().item_double();
            assertThat(mirrored).isBetween(0.4, 0.6);
            // The narrowest: a fifth of the area at a ratio of 3 to 4.
            double narrowest = slope.abs().amin().item_double();
            assertThat(narrowest).isBetween(Math.sqrt(0.2 * 0.75) * 0.9, 0.6);
            assertThat(slope.abs().amax().item_double()).isGreaterThan(0.9);
          }
        });
  }

  @Test
  void brightnessIsAFactorInItsRange() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(4)) {
            Tensor half = rng.uniform(400, 1, 2, 2).mul(new Scalar(0.0)).add(new Scalar(0.5));
            Tensor factor = ColourJitter.ofBrightness(0.4).apply(half, rng).div(half);
            assertThat(factor.amin().item_double()).isBetween(0.6 - 1e-6, 0.65);
            assertThat(factor.amax().item_double()).isBetween(1.35, 1.4 + 1e-6);
            long[] pixels = {1, 2, 3};
            assertThat(apart(factor.amax(pixels, false), factor.amin(pixels, false))).isZero();
          }
        });
  }

  @Test
  void hueKeepsEachPixelsLargestAndSmallestValueAndAThirdOfATurnExchangesChannels() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(5)) {
            Tensor images = rng.uniform(50, 3, 3, 3);
            Tensor turned = new ColourJitter(0, 0, 0, 0.5, 1, 0).apply(images, rng);
            assertThat(apart(turned, images)).isGreaterThan(0.3);
            long[] channels = {1};
            assertThat(apart(turned.amax(channels, false), images.amax(channels, false)))
                .isLessThan(1e-5);
            assertThat(apart(turned.amin(channels, false), images.amin(channels, false)))
                .isLessThan(1e-5);
            Tensor grey = new ColourJitter(0, 0, 0, 0, 0, 1).apply(images, rng);
            assertThat(apart(grey.amax(channels, false), grey.amin(channels, false)))
                .isLessThan(1e-6);
          }
        });
  }

  @Test
  void whatIsNoImageInRangeIsRefused() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(6)) {
            ColourJitter jitter = ColourJitter.simClr();
            assertThatThrownBy(() -> jitter.apply(rng.uniform(2, 2, 3, 3), rng))
                .hasMessageContaining("1 or 3 channels");
            assertThatThrownBy(() -> jitter.apply(rng.normal(9, 3, 3, 3), rng))
                .hasMessageContaining("in [0, 1]");
            assertThatThrownBy(() -> new ResizedCrop(0.5, true).apply(rng.uniform(2, 3), rng))
                .hasMessageContaining("shape");
          }
        });
    assertThatThrownBy(() -> new ResizedCrop(0, true)).hasMessageContaining("smallest");
    assertThatThrownBy(() -> new ColourJitter(2, 0, 0, 0, 1, 0)).hasMessageContaining("brightness");
    assertThatThrownBy(() -> new GaussianNoise(-1)).hasMessageContaining("std");
  }

  /** Remembers what a step shows. */
  private static final class Views implements Objective {
    final List<long[]> labels = new ArrayList<>();
    final List<Double> apart = new ArrayList<>();

    @Override
    public int views() {
      return 2;
    }

    @Override
    public Tensor loss(Output output, Tensor shown) {
      labels.add(Tensors.longs(shown));
      Tensor logits = output.logits();
      long half = logits.size(0) / 2;
      apart.add(apart(logits.narrow(0, 0, half), logits.narrow(0, half, half)));
      return logits.square().mean();
    }

    private static double apart(Tensor a, Tensor b) {
      return AugmentationTest.apart(a, b);
    }
  }

  @Test
  void anObjectiveThatWantsTwoViewsSeesAllRowsTwiceWithTheirLabels() {
    try (TinyModel model = new TinyModel(2, 4, 3, 0);
        TensorDataset rows = Blobs.of(8, 3, 1)) {
      Views views = new Views();
      Trainer trainer =
          Trainer.of(model)
              .settings(Trainer.Settings.defaults().withEpochs(1).withBatchSize(8))
              .objective(views);
      trainer.augment(new GaussianNoise(0.5)).fit(rows);
      long[] shown = views.labels.get(0);
      assertThat(shown).hasSize(16);
      for (int i = 0; i < 8; i++) {
        assertThat(shown[i + 8]).isEqualTo(shown[i]);
      }
      assertThat(views.apart.get(0)).isNotCloseTo(0, within(1e-3));
    }
    try (TinyModel model = new TinyModel(2, 4, 3, 0);
        TensorDataset rows = Blobs.of(8, 3, 1)) {
      Views views = new Views();
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(1).withBatchSize(8))
          .objective(views)
          .fit(rows);
      assertThat(views.labels.get(0)).hasSize(8);
    }
  }
}
