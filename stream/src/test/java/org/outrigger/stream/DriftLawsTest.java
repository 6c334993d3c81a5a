package org.outrigger.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.stream.DriftDetector.Domain;

/** What holds for every stream detector of the registry. */
class DriftLawsTest {
  private static final List<String> VARIANTS =
      List.of(
          "page-hinkley:threshold=5",
          "page-hinkley:mode=down:threshold=3",
          "cusum:variant=running:slack=0.005:threshold=5",
          "cusum:mode=up:minInstances=10",
          "hddm-a:twoSided=true",
          "hddm-w:twoSided=true:lambda=0.2",
          "adwin:clock=1:delta=0.1",
          "adwin:resetOnDrift=false:clock=4",
          "kswin:window=40:stat=15",
          "kswin:keepRecent=false:seed=7");

  static Stream<String> detectors() {
    return Stream.concat(
        Methods.cards(DriftDetector.class).stream().map(Card::slug), VARIANTS.stream());
  }

  private static DriftDetector make(String text) {
    return Methods.parseOne(DriftDetector.class, text);
  }

  /** Errors that are rare, frequent, and rare again. */
  private static double[] stream(int n, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] values = new double[n];
    for (int i = 0; i < n; i++) {
      double rate = i >= n / 3 && i < 2 * n / 3 ? 0.7 : 0.1;
      values[i] = random.nextDouble() < rate ? 1 : 0;
    }
    return values;
  }

  /** All that a detector shows, to the last bit. */
  private static String seen(DriftDetector detector) {
    return detector.level() + " " + detector.warning() + " " + detector.statistics();
  }

  private static List<String> run(DriftDetector detector, double[] values, int from) {
    List<String> all = new ArrayList<>();
    for (int i = from; i < values.length; i++) {
      detector.update(values[i]);
      all.add(seen(detector));
    }
    return all;
  }

  @Test
  void theRegistryHasAllEight() {
    assertThat(Methods.cards(DriftDetector.class).stream().map(Card::slug))
        .containsExactly(
            "adwin", "cusum", "ddm", "eddm", "hddm-a", "hddm-w", "kswin", "page-hinkley");
  }

  @ParameterizedTest
  @MethodSource("detectors")
  void aRestoredDetectorGoesOnToTheLastBit(String text, @TempDir Path folder) {
    double[] values = stream(900, 3);
    SplittableRandom cuts = new SplittableRandom(11);
    for (int c = 0; c < 12; c++) {
      int cut = c == 0 ? 0 : cuts.nextInt(values.length);
      DriftDetector whole = make(text);
      for (int i = 0; i < cut; i++) {
        whole.update(values[i]);
      }
      Path file = folder.resolve("state" + c);
      DriftDetector restored = make(text);
      restored.update(1);
      Scopes.run(
          () -> {
            StateFiles.write(file, whole.state());
            restored.restore(StateFiles.read(file));
          });
      assertThat(seen(restored)).isEqualTo(seen(whole));
      assertThat(restored.seen()).isEqualTo(whole.seen());
      assertThat(run(restored, values, cut)).as("cut at " + cut).isEqualTo(run(whole, values, cut));
    }
  }

  /** A detector of other settings takes over those of the state. */
  @ParameterizedTest
  @MethodSource("detectors")
  void aStateBringsItsSettings(String text) {
    DriftDetector saved = make(text);
    DriftDetector other = make(saved.card().slug());
    for (double value : stream(300, 5)) {
      saved.update(value);
    }
    other.restore(saved.state());
    assertThat(other.settings()).isEqualTo(saved.settings());
    double[] more = stream(600, 6);
    assertThat(run(other, more, 0)).isEqualTo(run(saved, more, 0));
  }

  @ParameterizedTest
  @MethodSource("detectors")
  void aResetOneIsANewOne(String text) {
    double[] values = stream(600, 4);
    DriftDetector used = make(text);
    run(used, values, 0);
    used.reset();
    assertThat(used.level()).isEqualTo(DriftLevel.NONE);
    assertThat(used.seen()).isZero();
    assertThat(run(used, values, 0)).isEqualTo(run(make(text), values, 0));
  }

  @ParameterizedTest
  @MethodSource("detectors")
  void aRefusedValueChangesNothing(String text) {
    DriftDetector detector = make(text);
    for (double value : stream(250, 8)) {
      detector.update(value);
    }
    String before = seen(detector) + detector.state();
    List<Double> bad =
        new ArrayList<>(List.of(Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY));
    if (detector.domain() != Domain.REAL) {
      bad.addAll(List.of(-1.0, 2.0));
    }
    if (detector.domain() == Domain.BINARY) {
      bad.add(0.5);
    }
    for (double value : bad) {
      assertThatThrownBy(() -> detector.update(value))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(detector.domain().words());
      assertThat(seen(detector) + detector.state()).isEqualTo(before);
    }
  }

  @ParameterizedTest
  @MethodSource("detectors")
  void nothingIsFlaggedDuringWarmUp(String text) {
    DriftDetector detector = make(text);
    for (long t = 1; t < detector.warmUp(); t++) {
      // The hardest stream: all quiet, then all errors.
      DriftLevel level = detector.update(t < detector.warmUp() / 2 ? 0 : 1);
      assertThat(level).as("after " + t).isEqualTo(DriftLevel.NONE);
    }
  }

  @ParameterizedTest
  @MethodSource("detectors")
  void aLargeLastingChangeIsFound(String text) {
    DriftDetector detector = make(text);
    boolean falls = text.contains("mode=down");
    SplittableRandom random = new SplittableRandom(21);
    boolean found = false;
    for (int t = 0; t < 1200; t++) {
      double rate = (t < 600) != falls ? 0.05 : 0.9;
      DriftLevel level = detector.update(random.nextDouble() < rate ? 1 : 0);
      found |= t >= 600 && t < 900 && level == DriftLevel.DRIFT;
    }
    assertThat(found).isTrue();
  }

  @ParameterizedTest
  @MethodSource("detectors")
  void damagedStatesAreRefusedAndChangeNothing(String text) {
    DriftDetector detector = make(text);
    for (double value : stream(200, 9)) {
      detector.update(value);
    }
    String before = seen(detector);
    State state = detector.state();
    for (String name : state.map("memory").keySet()) {
      Map<String, Object> memory = new LinkedHashMap<>(state.map("memory"));
      memory.remove(name);
      refuses(detector, with(state, "memory", memory));
    }
    refuses(detector, with(state, "seen", -1));
    refuses(detector, with(state, "drift", "perhaps"));
    refuses(detector, new State("drift-detector/other", 1, state.values(), Map.of()));
    refuses(detector, new State(state.type(), 99, state.values(), Map.of()));
    assertThat(seen(detector)).isEqualTo(before);
  }

  private static State with(State state, String name, Object value) {
    Map<String, Object> values = new LinkedHashMap<>(state.values());
    values.put(name, value);
    return new State(state.type(), state.version(), values, Map.of());
  }

  private static void refuses(DriftDetector detector, State state) {
    assertThatThrownBy(() -> detector.restore(state)).isInstanceOf(OutriggerException.class);
  }
}
