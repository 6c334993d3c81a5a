package org.outrigger.evaluate.corruption;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.corruption.Corruption.Settings;

class CorruptionTest {
  private static final Set<Corruption> WITHOUT_CHANCE =
      EnumSet.of(
          Corruption.DEFOCUS_BLUR,
          Corruption.ZOOM_BLUR,
          Corruption.BRIGHTNESS,
          Corruption.CONTRAST,
          Corruption.PIXELATE,
          Corruption.JPEG_COMPRESSION,
          Corruption.GAUSSIAN_BLUR,
          Corruption.SATURATE,
          Corruption.SCALE,
          Corruption.STRIPE,
          Corruption.CANNY_EDGES,
          Corruption.QUANTIZE,
          Corruption.INVERSE);

  /** Scale, channels, side. */
  private static final int[][] SHAPES = {{3, 32}, {1, 32}, {1, 28}, {3, 64}};

  private static float[] run(
      Corruption corruption,
      float[] data,
      int channels,
      int side,
      int severity,
      Settings settings) {
    try (PointerScope scope = new PointerScope()) {
      int n = data.length / (channels * side * side);
      Tensor images = Tensors.of(data, n, channels, side, side);
      Tensor out = corruption.apply(images, severity, settings);
      assertThat(out.shape()).isEqualTo(images.shape());
      assertThat(Tensors.floats(images)).as("input left alone").isEqualTo(data);
      return Tensors.floats(out);
    }
  }

  private static int outside(float[] values) {
    int count = 0;
    for (float v : values) {
      count += v >= 0 && v <= 1 ? 0 : 1;
    }
    return count;
  }

  @ParameterizedTest
  @EnumSource
  void staysInRangeAndInEightBitStepsAtEverySize(Corruption corruption) {
    for (int[] shape : SHAPES) {
      float[] clean = Pictures.make(2, shape[0], shape[1]);
      for (int severity = 1; severity <= 5; severity++) {
        float[] out = run(corruption, clean, shape[0], shape[1], severity, Settings.seeded(7));
        assertThat(outside(out)).as("values outside [0, 1]").isZero();
        double off = 0;
        for (float v : out) {
          off = Math.max(off, Math.abs(v * 255.0 - Math.rint(v * 255.0)));
        }
        assertThat(off).as("distance from 8-bit steps").isLessThan(1e-3);
        assertThat(out).as("it changes something").isNotEqualTo(clean);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void blackAndWhiteImagesAreFine(Corruption corruption) {
    for (float level : new float[] {0, 1}) {
      float[] flat = new float[3 * 32 * 32];
      Arrays.fill(flat, level);
      for (Scale scale : Scale.values()) {
        Settings settings = Settings.seeded(1).withScale(scale).withEightBit(false);
        assertThat(outside(run(corruption, flat, 3, 32, 5, settings))).isZero();
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void anImageGetsTheSameNoiseAloneAndInAnyBatch(Corruption corruption) {
    int size = 3 * 32 * 32;
    float[] all = Pictures.make(4, 3, 32);
    float[] together = run(corruption, all, 3, 32, 3, Settings.seeded(5));
    assertThat(run(corruption, all, 3, 32, 3, Settings.seeded(5).withParallel(true)))
        .isEqualTo(together);
    try (PointerScope scope = new PointerScope()) {
      Tensor third = Tensors.of(Arrays.copyOfRange(all, 2 * size, 3 * size), 1, 3, 32, 32);
      float[] alone = Tensors.floats(corruption.apply(third, 3, Settings.seeded(5), 2));
      assertThat(alone).isEqualTo(Arrays.copyOfRange(together, 2 * size, 3 * size));
    }
  }

  @ParameterizedTest
  @EnumSource
  void seedAndIndexDecideWhatIsRandom(Corruption corruption) {
    float[] one = Pictures.make(1, 3, 32);
    float[] twice = new float[2 * one.length];
    System.arraycopy(one, 0, twice, 0, one.length);
    System.arraycopy(one, 0, twice, one.length, one.length);
    boolean fixed = WITHOUT_CHANCE.contains(corruption);
    // A sign has two values: some of several seeds must differ.
    float[] first = run(corruption, twice, 3, 32, 4, Settings.seeded(0));
    assertThat(run(corruption, twice, 3, 32, 4, Settings.seeded(0))).isEqualTo(first);
    boolean seedsDiffer =
        IntStream.range(1, 9)
            .anyMatch(
                seed ->
                    !Arrays.equals(first, run(corruption, twice, 3, 32, 4, Settings.seeded(seed))));
    boolean indicesDiffer =
        IntStream.range(0, 9)
            .anyMatch(
                seed -> {
                  float[] out = run(corruption, twice, 3, 32, 4, Settings.seeded(seed));
                  return !Arrays.equals(out, 0, one.length, out, one.length, out.length);
                });
    assertThat(seedsDiffer).isEqualTo(!fixed);
    assertThat(indicesDiffer).isEqualTo(!fixed);
  }

  @ParameterizedTest
  @EnumSource(
      names = {
        "GAUSSIAN_NOISE",
        "SHOT_NOISE",
        "IMPULSE_NOISE",
        "SPECKLE_NOISE",
        "GAUSSIAN_BLUR",
        "DEFOCUS_BLUR",
        "ZOOM_BLUR",
        "BRIGHTNESS",
        "CONTRAST",
        "PIXELATE",
        "JPEG_COMPRESSION",
        "QUANTIZE",
        "SHEAR",
        "SCALE",
        "ROTATE",
        "DOTTED_LINE",
        "ZIGZAG"
      })
  void severityGrows(Corruption corruption) {
    for (int[] shape : new int[][] {{3, 32}, {3, 64}}) {
      float[] clean = Pictures.clouds(6, shape[0], shape[1]);
      double last = 0;
      for (int severity = 1; severity <= 5; severity++) {
        float[] out =
            run(
                corruption,
                clean,
                shape[0],
                shape[1],
                severity,
                Settings.seeded(3).withEightBit(false));
        double distance = 0;
        for (int i = 0; i < out.length; i++) {
          distance += Math.abs(out[i] - clean[i]) / out.length;
        }
        assertThat(distance).as("severity %d at %d", severity, shape[1]).isGreaterThan(last);
        last = distance;
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"FOG", "FROST"})
  void imagesLookMoreAlikeWithSeverity(Corruption corruption) {
    for (Scale scale : Scale.values()) {
      float[] pair = Pictures.clouds(2, 3, 32);
      int size = pair.length / 2;
      // Fog depends on the largest value: the same in both.
      pair[0] = 0.7f;
      pair[size] = 0.7f;
      double first = 0;
      double last = Double.POSITIVE_INFINITY;
      for (int severity = 1; severity <= 5; severity++) {
        Settings settings = Settings.seeded(2).withScale(scale).withEightBit(false);
        double distance = 0;
        try (PointerScope scope = new PointerScope()) {
          Tensor images = Tensors.of(pair, 2, 3, 32, 32);
          float[] out = Tensors.floats(corruption.apply(images, severity, settings, 8, 8));
          for (int i = 0; i < size; i++) {
            distance += Math.abs(out[i] - out[size + i]);
          }
        }
        // Two severities of ImageNet-C's fog have the same amount.
        assertThat(distance).as("severity %d", severity).isLessThan(last + 1e-3);
        first = severity == 1 ? distance : first;
        last = distance;
      }
      assertThat(last).isLessThan(0.8 * first);
    }
  }

  private static double[] onGray(Corruption corruption, int severity) {
    double[] half = new double[100_000];
    Arrays.fill(half, 0.5);
    return corruption.apply(new Image(1, 250, 400, half), severity, Scale.CIFAR, 11, 0).data();
  }

  private static double variance(double[] values) {
    double mean = Arrays.stream(values).average().orElseThrow();
    return Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum() / values.length;
  }

  @Test
  void noiseHasTheSpreadOfItsDefinition() {
    for (int severity = 1; severity <= 5; severity++) {
      double gaussian = Corruption.GAUSSIAN_NOISE.parameters(Scale.CIFAR, severity)[0];
      assertThat(Math.sqrt(variance(onGray(Corruption.GAUSSIAN_NOISE, severity))))
          .isCloseTo(gaussian, within(0.02 * gaussian));
      double speckle = Corruption.SPECKLE_NOISE.parameters(Scale.CIFAR, severity)[0];
      assertThat(Math.sqrt(variance(onGray(Corruption.SPECKLE_NOISE, severity))))
          .isCloseTo(0.5 * speckle, within(0.02 * 0.5 * speckle));
      double photons = Corruption.SHOT_NOISE.parameters(Scale.CIFAR, severity)[0];
      assertThat(variance(onGray(Corruption.SHOT_NOISE, severity)))
          .isCloseTo(0.5 / photons, within(0.03 * 0.5 / photons));
    }
  }

  @Test
  void impulsesAreAsManyAsDemandedHalfOfThemWhite() {
    for (int severity = 1; severity <= 5; severity++) {
      double amount = Corruption.IMPULSE_NOISE.parameters(Scale.CIFAR, severity)[0];
      int white = 0;
      int black = 0;
      // Ten images: at 1 % the count of one strays by 3 % by chance alone.
      for (int index = 0; index < 10; index++) {
        double[] half = new double[100_000];
        Arrays.fill(half, 0.5);
        Image image = new Image(1, 250, 400, half);
        for (double v :
            Corruption.IMPULSE_NOISE.apply(image, severity, Scale.CIFAR, 0, index).data()) {
          white += v == 1 ? 1 : 0;
          black += v == 0 ? 1 : 0;
        }
      }
      assertThat((white + black) / 1e6).isCloseTo(amount, within(0.03 * amount));
      assertThat((double) white / (white + black)).isCloseTo(0.5, within(0.02));
    }
  }

  @Test
  void everyChannelHasItsOwnNoise() {
    float[] flat = new float[3 * 32 * 32];
    Arrays.fill(flat, 0.5f);
    float[] out = run(Corruption.GAUSSIAN_NOISE, flat, 3, 32, 5, Settings.seeded(0));
    assertThat(Arrays.copyOfRange(out, 0, 1024)).isNotEqualTo(Arrays.copyOfRange(out, 1024, 2048));
  }

  @Test
  void eightBitInputSurvivesWhatDoesNotTouchIt() {
    float[] clean = Pictures.make(1, 3, 32);
    float[] out = run(Corruption.IMPULSE_NOISE, clean, 3, 32, 1, Settings.seeded(0));
    int same = 0;
    for (int i = 0; i < out.length; i++) {
      assertThat(out[i] == clean[i] || out[i] == 0 || out[i] == 1).isTrue();
      same += out[i] == clean[i] ? 1 : 0;
    }
    assertThat(same).isGreaterThan(out.length * 9 / 10);
  }

  @Test
  void scaleFollowsTheSizeUnlessItIsGiven() {
    assertThat(Scale.of(32, 32)).isEqualTo(Scale.CIFAR);
    assertThat(Scale.of(28, 28)).isEqualTo(Scale.IMAGENET);
    assertThat(Scale.of(224, 224)).isEqualTo(Scale.IMAGENET);
    float[] clean = Pictures.make(1, 1, 28);
    float[] automatic = run(Corruption.CONTRAST, clean, 1, 28, 1, Settings.seeded(0));
    assertThat(
            run(Corruption.CONTRAST, clean, 1, 28, 1, Settings.seeded(0).withScale(Scale.IMAGENET)))
        .isEqualTo(automatic);
    assertThat(run(Corruption.CONTRAST, clean, 1, 28, 1, Settings.seeded(0).withScale(Scale.CIFAR)))
        .isNotEqualTo(automatic);
  }

  @Test
  void namesAreTheBenchmarksAndAWrongOneGetsTheNearest() {
    assertThat(Corruption.CLASSIC).hasSize(15).doesNotContain(Corruption.SPECKLE_NOISE);
    assertThat(Corruption.MNIST_C).hasSize(15).doesNotHaveDuplicates();
    for (Corruption corruption : Corruption.values()) {
      assertThat(Corruption.named(corruption.slug())).isEqualTo(corruption);
      assertThat(corruption.mnistSeverity()).isBetween(1, 5);
    }
    assertThat(Corruption.named("Glass-Blur")).isEqualTo(Corruption.GLASS_BLUR);
    assertThatThrownBy(() -> Corruption.named("gausian_noise"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("did you mean gaussian_noise?");
  }

  @Test
  void everyTableHasFiveRows() {
    for (Corruption corruption : Corruption.values()) {
      for (Scale scale : Scale.values()) {
        int columns = corruption.parameters(scale, 1).length;
        for (int severity = 2; severity <= 5; severity++) {
          assertThat(corruption.parameters(scale, severity)).hasSize(columns);
        }
      }
    }
  }

  private static void refuses(String because, Corruption corruption, int severity, long... shape) {
    float[] data = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
    Arrays.fill(data, 0.25f);
    refuses(because, corruption, severity, data, shape);
  }

  private static void refuses(
      String because, Corruption corruption, int severity, float[] data, long... shape) {
    try (PointerScope scope = new PointerScope()) {
      Tensor images = Tensors.of(data, shape);
      assertThatThrownBy(() -> corruption.apply(images, severity, 0))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(because);
    }
  }

  @Test
  void badInputIsRefusedInOurWords() {
    refuses("severity = 0", Corruption.FOG, 0, 1, 3, 32, 32);
    refuses("severity = 6", Corruption.FOG, 6, 1, 3, 32, 32);
    refuses("[N, C, H, W]", Corruption.FOG, 1, 3, 32, 32);
    refuses("2 channels", Corruption.FOG, 1, 1, 2, 32, 32);
    refuses("empty", Corruption.FOG, 1, 0, 3, 32, 32);
    refuses("reaches 8 pixels", Corruption.DEFOCUS_BLUR, 1, 1, 1, 8, 8);
    refuses("too far for an image", Corruption.GLASS_BLUR, 1, 1, 1, 2, 2);
    refuses("square", Corruption.ZOOM_BLUR, 1, 1, 3, 32, 30);
    refuses("square", Corruption.SNOW, 1, 1, 3, 32, 30);
    refuses("square", Corruption.ELASTIC_TRANSFORM, 1, 1, 3, 32, 30);
    float[] nan = new float[32 * 32];
    nan[5] = Float.NaN;
    refuses("NaN", Corruption.BRIGHTNESS, 1, nan, 1, 1, 32, 32);
    float[] bytes = new float[32 * 32];
    bytes[5] = 200;
    refuses("divide 8-bit values by 255", Corruption.BRIGHTNESS, 1, bytes, 1, 1, 32, 32);
  }

  @Test
  void resultsBelongToTheCaller() {
    Tensor images = Tensors.of(Pictures.make(1, 1, 28), 1, 1, 28, 28);
    Tensor out = Corruption.FOG.apply(images, 2, 0);
    assertThat(out.isNull()).isFalse();
    images.close();
    assertThat(Tensors.floats(out)).hasSize(784);
    out.close();
  }

  @Test
  void wideImagesWorkWhereNothingIsSquare() {
    try (PointerScope scope = new PointerScope()) {
      Tensor wide = Tensors.of(Pictures.make(1, 3, 40), 1, 3, 20, 80);
      Set<Corruption> square =
          EnumSet.of(Corruption.ZOOM_BLUR, Corruption.SNOW, Corruption.ELASTIC_TRANSFORM);
      for (Corruption corruption : EnumSet.complementOf(EnumSet.copyOf(square))) {
        assertThat(corruption.apply(wide, 2, 0).shape()).containsExactly(1, 3, 20, 80);
      }
    }
  }
}
