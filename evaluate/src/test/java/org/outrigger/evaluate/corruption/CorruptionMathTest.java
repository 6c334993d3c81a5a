package org.outrigger.evaluate.corruption;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.evaluate.corruption.Filters.Border;

class CorruptionMathTest {
  private static Image picture(int channels, int side) {
    float[] floats = Pictures.make(1, channels, side);
    double[] data = new double[floats.length];
    Arrays.setAll(data, i -> floats[i]);
    return new Image(channels, side, side, data);
  }

  private static double mean(Image image) {
    return Arrays.stream(image.data()).average().orElseThrow();
  }

  @Property(tries = 20)
  void poissonDrawsHaveTheirMeanAndVariance(
      @ForAll @DoubleRange(min = 0.05, max = 500) double mean) {
    double[] expected = new double[40_000];
    Arrays.fill(expected, mean);
    double[] counts = new Draws(3).poisson(expected);
    double average = Arrays.stream(counts).average().orElseThrow();
    double variance =
        Arrays.stream(counts).map(v -> (v - average) * (v - average)).average().orElseThrow();
    // Five standard errors; the variance of the sample variance is mean/n + 2 mean^2/n.
    assertThat(average).isCloseTo(mean, within(5 * Math.sqrt(mean / 40_000)));
    assertThat(variance).isCloseTo(mean, within(5 * Math.sqrt((mean + 2 * mean * mean) / 40_000)));
  }

  @Test
  void noPhotonsGiveNoCounts() {
    assertThat(new Draws(0).poisson(new double[100])).containsOnly(0);
  }

  @Property(tries = 30)
  void blursKeepAFlatImage(
      @ForAll @DoubleRange(min = 0.05, max = 12) double sigma,
      @ForAll @IntRange(min = 2, max = 9) int side) {
    double[] flat = new double[side * side];
    Arrays.fill(flat, 0.7);
    Image image = new Image(1, side, side, flat);
    for (Border border : Border.values()) {
      for (double v : Filters.gaussian(image, sigma, 4, border).data()) {
        assertThat(v).isCloseTo(0.7, within(1e-12));
      }
    }
  }

  @Test
  void aSeparableFilterEqualsItsSquareKernel() {
    Image image = picture(3, 11);
    double[] half = Filters.gaussianWeights(0.9, 2);
    double[] kernel = new double[25];
    for (int i = 0; i < 25; i++) {
      kernel[i] = half[Math.abs(i / 5 - 2)] * half[Math.abs(i % 5 - 2)];
    }
    for (Border border : Border.values()) {
      double[] separable = Filters.symmetric(image, half, border).data();
      double[] square = Filters.correlate(image, kernel, 5, border).data();
      for (int i = 0; i < square.length; i++) {
        assertThat(separable[i]).isCloseTo(square[i], within(1e-12));
      }
    }
  }

  @Test
  void warpsWithoutStrengthChangeNothing() {
    Image image = picture(3, 17);
    for (double[] matrix :
        new double[][] {
          Geometry.rotation(17, 17, 0),
          Geometry.shear(17, 17, 0),
          Geometry.scale(17, 17, 1),
          Geometry.translation(0, 0)
        }) {
      assertThat(Geometry.warp(image, matrix).data()).containsExactly(image.data());
    }
    double[] still = new double[17 * 17];
    assertThat(Geometry.displace(image, still, still, true).data()).containsExactly(image.data());
    Image jittered = Geometry.jitterAffine(image, new double[6]);
    for (int i = 0; i < image.data().length; i++) {
      assertThat(jittered.data()[i]).isCloseTo(image.data()[i], within(1e-9));
    }
    assertThat(Blur.clippedZoom(image, 1).data()).containsExactly(image.data());
  }

  @Test
  void aJitterOfAllPointsIsATranslation() {
    Image image = picture(1, 16);
    Image moved = Geometry.jitterAffine(image, new double[] {2, 1, 2, 1, 2, 1});
    for (int y = 1; y < 16; y++) {
      for (int x = 2; x < 16; x++) {
        assertThat(moved.data()[y * 16 + x])
            .isCloseTo(image.data()[(y - 1) * 16 + x - 2], within(1e-9));
      }
    }
  }

  @Test
  void aHalfTurnTwiceAndAnInversionTwiceGiveTheImageBack() {
    Image image = picture(3, 12);
    assertThat(image.halfTurn().halfTurn().data()).containsExactly(image.data());
    double[] twice = Digital.inverse(Digital.inverse(image)).data();
    for (int i = 0; i < twice.length; i++) {
      assertThat(twice[i]).isCloseTo(image.data()[i], within(1e-12));
    }
  }

  @Test
  void fineJpegKeepsColoursInTheirPlaces() {
    double[] data = new double[3 * 16 * 16];
    Arrays.fill(data, 0, 256, 0.8);
    Arrays.fill(data, 256, 512, 0.4);
    Arrays.fill(data, 512, 768, 0.1);
    double[] out = Jpeg.compress(new Image(3, 16, 16, data), 95).data();
    for (int i = 0; i < out.length; i++) {
      assertThat(out[i]).isCloseTo(data[i], within(0.02));
    }
    assertThatThrownBy(() -> Jpeg.compress(picture(1, 8), 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("quality");
  }

  @Test
  void jpegWorksOnSizesThatAreNotMultiplesOfABlock() {
    Image image = picture(3, 13);
    assertThat(Jpeg.compress(image, 90).data()).hasSize(3 * 13 * 13);
    assertThat(mean(Jpeg.compress(image, 90))).isCloseTo(mean(image), within(0.02));
  }

  @Test
  void plasmaFillsTheRangeAndRefusesOtherSizes() {
    double[] plasma = Weather.plasma(64, 2, new Draws(1).uniforms(64 * 64 - 1, -1, 1));
    assertThat(Arrays.stream(plasma).min().orElseThrow()).isZero();
    assertThat(Arrays.stream(plasma).max().orElseThrow()).isEqualTo(1);
    assertThatThrownBy(() -> Weather.plasma(48, 2, new double[48 * 48 - 1]))
        .hasMessageContaining("power of two");
    assertThatThrownBy(() -> Weather.fog(picture(1, 65), 1, plasma)).hasMessageContaining("cover");
  }

  @Test
  void frostIsBluishIce() {
    Image black = new Image(3, 32, 32, new double[3 * 32 * 32]);
    double[] ice = Corruption.FROST.apply(black, 5, Scale.CIFAR, 0, 0).data();
    double red = Arrays.stream(ice, 0, 1024).average().orElseThrow();
    double blue = Arrays.stream(ice, 2048, 3072).average().orElseThrow();
    assertThat(blue).isGreaterThan(red);
    assertThat(Arrays.stream(ice).max().orElseThrow() - Arrays.stream(ice).min().orElseThrow())
        .as("ice and clear patches")
        .isGreaterThan(0.2);
  }

  @Test
  void glassOnlyMovesPixelsByItsReach() {
    Image image = picture(1, 16);
    int[] still = new int[2 * Blur.glassOffsets(image, 2, 1)];
    double[] out = Blur.glass(image, 0.05, 2, 1, still).data();
    for (int i = 0; i < out.length; i++) {
      assertThat(out[i]).isCloseTo(image.data()[i], within(1 / 255.0));
    }
    assertThatThrownBy(() -> Blur.glass(image, 0.05, 2, 1, new int[4]))
        .hasMessageContaining("offsets");
  }

  @Test
  void cannyOutlinesABox() {
    double[] data = new double[28 * 28];
    for (int y = 8; y < 20; y++) {
      Arrays.fill(data, y * 28 + 8, y * 28 + 20, 1);
    }
    double[] edges = Strokes.cannyEdges(new Image(1, 28, 28, data)).data();
    assertThat(edges[14 * 28 + 14]).isZero();
    assertThat(edges[2 * 28 + 2]).isZero();
    assertThat(edges[14 * 28 + 7] + edges[14 * 28 + 8]).isEqualTo(1);
    double count = Arrays.stream(edges).sum();
    assertThat(count).isBetween(35.0, 60.0);
  }

  @Test
  void waterBrightensAndMudCovers() {
    Image image = picture(3, 32);
    double[] layer = new double[32 * 32];
    for (int y = 10; y < 20; y++) {
      Arrays.fill(layer, y * 32 + 10, y * 32 + 20, 0.9);
    }
    Image liquid = Spatter.liquid(image, layer, 0.5, 0.6);
    double[] wet = Spatter.water(image, liquid, 0.6).data();
    for (int i = 0; i < wet.length; i++) {
      assertThat(wet[i]).isGreaterThanOrEqualTo(image.data()[i]);
    }
    assertThat(wet).isNotEqualTo(image.data());
    double[] muddy = Spatter.mud(image, liquid, 0.6, 0.5).data();
    assertThat(muddy[15 * 32 + 15]).isCloseTo(63 / 255.0, within(1e-6));
    assertThat(muddy[0]).isEqualTo(image.data()[0]);
  }

  @Test
  void drawsOfTheWrongNumberAreRefused() {
    assertThatThrownBy(() -> Noise.gaussian(picture(1, 8), 0.1, new double[3]))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("3 random draws");
    assertThatThrownBy(() -> new Image(1, 2, 2, new double[3]))
        .isInstanceOf(OutriggerException.class);
  }
}
