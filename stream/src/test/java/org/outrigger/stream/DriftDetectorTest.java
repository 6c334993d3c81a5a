package org.outrigger.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;

/** What is special about single stream detectors. */
class DriftDetectorTest {
  private static List<Integer> drifts(DriftDetector detector, double[] values) {
    List<Integer> at = new ArrayList<>();
    for (int i = 0; i < values.length; i++) {
      if (detector.update(values[i]) == DriftLevel.DRIFT) {
        at.add(i);
      }
    }
    return at;
  }

  private static double[] normal(int n, double shift, int at, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] values = new double[n];
    Arrays.setAll(values, i -> random.nextGaussian() + (i >= at ? shift : 0));
    return values;
  }

  @Test
  void pageHinkleyHearsAFallFromTheFirstValueOn() {
    // All sums below -1 from the start: an extreme that begins at -1 would never be left.
    double[] values = new double[200];
    Arrays.fill(values, 0, 60, 5);
    Arrays.fill(values, 60, 200, 0);
    DriftDetector falls =
        Methods.parseOne(DriftDetector.class, "page-hinkley:mode=down:threshold=10");
    DriftDetector rises =
        Methods.parseOne(DriftDetector.class, "page-hinkley:mode=up:threshold=10");
    assertThat(drifts(falls, values)).startsWith(62);
    assertThat(drifts(rises, values)).isEmpty();
  }

  @Test
  void directionsAreMirrorImages() {
    double[] values = normal(400, 2, 200, 5);
    double[] mirrored = Arrays.stream(values).map(v -> -v).toArray();
    for (String slug : List.of("cusum", "page-hinkley:threshold=20:delta=0")) {
      assertThat(drifts(Methods.parseOne(DriftDetector.class, slug + ":mode=up"), values))
          .isNotEmpty()
          .isEqualTo(drifts(Methods.parseOne(DriftDetector.class, slug + ":mode=down"), mirrored));
    }
  }

  @Test
  void theScaleOfTheValuesDoesNotMatterToCusumAndKswin() {
    double[] values = normal(400, 1.5, 200, 6);
    double[] larger = Arrays.stream(values).map(v -> 1024 * v).toArray();
    assertThat(drifts(new Cusum(), larger)).isNotEmpty().isEqualTo(drifts(new Cusum(), values));
    assertThat(drifts(new Kswin(), larger)).isNotEmpty().isEqualTo(drifts(new Kswin(), values));
  }

  @Test
  void aConstantReferenceOfCusumNeedsALeastSpread() {
    double[] values = new double[100];
    values[50] = 0.1;
    assertThat(drifts(new Cusum(), values)).containsExactly(50);
    assertThat(drifts(Methods.create(Cusum.class, "cusum", Map.of("minSd", 0.1)), values))
        .isEmpty();
  }

  @Test
  void theRunningCusumIsTheFormula() {
    Cusum cusum = new Cusum(Cusum.Settings.running());
    double[] values = normal(500, 3, 250, 7);
    double mean = 0;
    double sum = 0;
    int expected = -1;
    for (int i = 0; i < values.length && expected < 0; i++) {
      mean += (values[i] - mean) / (i + 1);
      sum = Math.max(0, sum + values[i] - mean - 0.005);
      expected = i + 1 >= 30 && sum > 50 ? i : -1;
    }
    assertThat(expected).isPositive();
    assertThat(drifts(cusum, values)).startsWith(expected);
  }

  @Test
  void ddmFiresAtTheFirstErrorAfterAQuietTime() {
    double[] values = new double[101];
    values[100] = 1;
    assertThat(drifts(new Ddm(), values)).containsExactly(100);
  }

  @Test
  void eddmKeepsItsFlagsBetweenErrors() {
    Eddm eddm = new Eddm();
    SplittableRandom random = new SplittableRandom(2);
    DriftLevel before = DriftLevel.NONE;
    boolean warned = false;
    for (int i = 0; i < 2000; i++) {
      double value = random.nextDouble() < (i < 700 ? 0.1 : 0.2) ? 1 : 0;
      DriftLevel now = eddm.update(value);
      if (value == 0 && before == DriftLevel.WARNING) {
        assertThat(now).isEqualTo(DriftLevel.WARNING);
        warned = true;
      }
      before = now;
    }
    assertThat(warned).isTrue();
  }

  @Test
  void hddmTakesBoundedLossesToo() {
    SplittableRandom random = new SplittableRandom(3);
    double[] losses = new double[800];
    Arrays.setAll(losses, i -> Math.min(1, random.nextDouble() * 0.5 + (i < 400 ? 0 : 0.4)));
    assertThat(drifts(new HddmA(), losses)).isNotEmpty().allMatch(at -> at >= 400 && at < 500);
    assertThat(drifts(new HddmW(), losses)).isNotEmpty().allMatch(at -> at >= 400 && at < 500);
  }

  @Test
  void adwinCountsWhatItsWindowHolds() {
    double[] values = normal(3000, 0, 0, 4);
    Adwin adwin = new Adwin();
    assertThat(drifts(adwin, values)).isEmpty();
    double mean = Arrays.stream(values).average().orElseThrow();
    double variance = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).average().orElse(0);
    assertThat(adwin.width()).isEqualTo(3000);
    assertThat(adwin.mean()).isCloseTo(mean, within(1e-12));
    assertThat(adwin.variance()).isCloseTo(variance, within(1e-12));
    assertThat(adwin.state().map("memory").toString().length()).isLessThan(4000);
  }

  @Test
  void adwinDropsWhatIsOldAndKeepsTheRest() {
    Adwin adwin = Methods.create(Adwin.class, "adwin", Map.of("resetOnDrift", false));
    double[] values = normal(1000, 3, 500, 4);
    assertThat(drifts(adwin, values)).isNotEmpty();
    assertThat(adwin.mean()).isCloseTo(3, within(0.2));
    assertThat(adwin.width()).isBetween(450L, 520L);
  }

  @Test
  void kswinTestsWhatTheSamplerChooses() {
    List<Long> numbers = new ArrayList<>();
    Kswin kswin =
        new Kswin(
            new Kswin.Settings(0.005, 100, 30, true, 0),
            (draw, older, chosen) -> {
              numbers.add(draw);
              assertThat(older).isEqualTo(70);
              Arrays.setAll(chosen, i -> 2 * i);
            });
    // Thirty old values at even positions are 0, and the newest thirty climb to 1 one by one: the
    // first significant distance of 30 and 30 at 0.005 is 14 of 30 (p = 0.0025; 13 has 0.0065).
    double[] values = new double[200];
    Arrays.fill(values, 100, 200, 1);
    assertThat(drifts(kswin, values)).startsWith(100 + 13);
    assertThat(numbers).startsWith(0L, 1L, 2L);
    assertThat(KolmogorovSmirnov.exact(14 / 30.0, 30, 30, KolmogorovSmirnov.Side.TWO_SIDED))
        .isLessThan(0.005);
    assertThat(KolmogorovSmirnov.exact(13 / 30.0, 30, 30, KolmogorovSmirnov.Side.TWO_SIDED))
        .isGreaterThan(0.005);
  }

  @Test
  void kswinGoesOnWithTheNewestValuesOrEmpty() {
    double[] values = normal(131, 10, 100, 4);
    for (boolean keep : new boolean[] {true, false}) {
      Kswin kswin = Methods.create(Kswin.class, "kswin", Map.of("keepRecent", keep));
      int at = 0;
      while (kswin.update(values[at]) != DriftLevel.DRIFT) {
        at++;
      }
      kswin.update(0);
      assertThat(kswin.statistics()).containsEntry("values in the window", keep ? 31.0 : 1.0);
    }
  }

  @Test
  void kswinThatCanNeverRejectIsRefused() {
    assertThatThrownBy(() -> Methods.create(Kswin.class, "kswin", Map.of("stat", 3, "window", 20)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("smallest p-value");
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    for (String text :
        List.of(
            "page-hinkley:alpha=0",
            "cusum:threshold=-1",
            "ddm:driftThreshold=1",
            "eddm:beta=0.99",
            "hddm-a:driftConfidence=0.01",
            "hddm-w:lambda=2",
            "adwin:delta=1",
            "kswin:window=40")) {
      String name = text.substring(text.indexOf(':') + 1, text.indexOf('='));
      assertThatThrownBy(() -> Methods.parseOne(DriftDetector.class, text))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(name);
    }
  }
}
