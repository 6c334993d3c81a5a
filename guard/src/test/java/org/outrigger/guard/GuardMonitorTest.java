package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.apache.commons.statistics.distribution.BinomialDistribution;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Energy;

class GuardMonitorTest {
  private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
  private static NeuralModel model;
  private static Guard guard;

  @BeforeAll
  static void fit() {
    model = Blobs.model();
    guard = Guard.of(model).detect(new Energy()).fit(Blobs.known(1200, 5));
  }

  @AfterAll
  static void close() {
    guard.close();
    model.close();
  }

  private static float[] known(int n, long seed) {
    try (TensorDataset data = Blobs.known(n, seed)) {
      return Tensors.floats(data.inputs());
    }
  }

  private static List<Change> feed(GuardMonitor monitor, float[] inputs, int from) {
    int n = inputs.length / 2;
    try (PointerScope scope = new PointerScope()) {
      Tensor rows = Tensors.of(inputs, n, 2);
      return monitor.observe(guard.answer(rows, true), START.plusSeconds(from));
    }
  }

  private static GuardMonitor monitor() {
    return GuardMonitor.of(guard, MonitorSettings.defaults());
  }

  private static List<String> channels(List<Change> changes) {
    return changes.stream().map(Change::channel).toList();
  }

  @Test
  void the_reference_is_saved_and_loaded_exactly(@TempDir Path folder) {
    GuardReference fitted = guard.reference();
    assertThat(fitted.size()).isEqualTo(600);
    assertThat(fitted.features()).containsExactly("input 0", "input 1");
    assertThat(fitted.watchesInputs()).isTrue();
    guard.save(folder.resolve("g"));
    try (Guard loaded = Guard.load(folder.resolve("g"))) {
      GuardReference read = loaded.reference();
      assertThat(read.features()).isEqualTo(fitted.features());
      assertThat(read.values()).isEqualTo(fitted.values());
      assertThat(read.scores()).isEqualTo(fitted.scores());
      assertThat(read.predicted()).isEqualTo(fitted.predicted());
      assertThat(read.confidence()).isEqualTo(fitted.confidence());
      assertThat(read.labels()).isEqualTo(fitted.labels());
      assertThat(1 - read.errorRate()).isEqualTo(loaded.info().metrics().get("accuracy"));
    }
  }

  @Test
  void the_reference_holds_what_the_guard_says_of_held_out_rows() {
    GuardReference reference = guard.reference();
    try (PointerScope scope = new PointerScope()) {
      List<Verdict> verdicts = guard.check(Tensors.of(reference.values(), reference.size(), 2));
      assertThat(verdicts.stream().mapToDouble(Verdict::score).toArray())
          .usingComparatorWithPrecision(1e-4)
          .containsExactly(reference.scores());
    }
    double accepted =
        Arrays.stream(reference.scores()).filter(s -> s <= guard.info().threshold().value()).count()
            / (double) reference.size();
    // Rows at the threshold may fall on either side: they went through the model in other batches.
    assertThat(accepted)
        .isCloseTo(guard.info().threshold().accepted(), org.assertj.core.data.Offset.offset(0.01));
  }

  @Test
  void a_guard_without_a_reference_says_what_to_do(@TempDir Path folder) {
    try (Guard bare =
        Guard.of(model).detect(new Energy()).referenceRows(0).fit(Blobs.known(300, 6))) {
      bare.save(folder.resolve("g"));
    }
    try (Guard loaded = Guard.load(folder.resolve("g"))) {
      assertThat(loaded.reference()).isNull();
      assertThatThrownBy(() -> GuardMonitor.of(loaded, MonitorSettings.defaults()))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("fit it again");
    }
  }

  @Test
  void false_alarms_are_as_rare_as_promised() {
    // References differ too: the promise is over guards and windows.
    double alpha = 0.05;
    int windows = 0;
    int alarms = 0;
    for (int seed = 0; seed < 20; seed++) {
      try (Guard fresh =
              Guard.of(model).detect(new Energy()).seed(seed).fit(Blobs.known(600, 100 + seed));
          GuardMonitor monitor =
              GuardMonitor.of(fresh, MonitorSettings.defaults().withAlpha(alpha));
          PointerScope scope = new PointerScope()) {
        float[] rows = known(2000, 1000 + seed);
        shuffle(rows, seed);
        monitor.observe(fresh.answer(Tensors.of(rows, 2000, 2), true), START);
        for (MonitoredWindow window : monitor.summary().history()) {
          windows++;
          alarms += window.drift() ? 1 : 0;
        }
      }
    }
    assertThat(windows).isEqualTo(200);
    int most = BinomialDistribution.of(windows, alpha).inverseCumulativeProbability(0.999);
    assertThat(alarms).isLessThanOrEqualTo(most);
  }

  private static void shuffle(float[] rows, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = rows.length / 2 - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      for (int c = 0; c < 2; c++) {
        float held = rows[2 * i + c];
        rows[2 * i + c] = rows[2 * j + c];
        rows[2 * j + c] = held;
      }
    }
  }

  @Test
  void the_unknown_rate_is_tested_at_its_level() {
    SplittableRandom random = new SplittableRandom(3);
    int rejected = 0;
    int runs = 2000;
    for (int run = 0; run < runs; run++) {
      double[] known = random.doubles(60).sorted().toArray();
      int beyond = (int) random.doubles(100).filter(v -> v > known[56]).count();
      rejected += RateTests.beyondThreshold(beyond, 100, 57, 60) < 0.05 ? 1 : 0;
    }
    assertThat(rejected)
        .isLessThanOrEqualTo(
            BinomialDistribution.of(runs, 0.05).inverseCumulativeProbability(0.999))
        .isGreaterThan(runs / 100);
  }

  @Test
  void a_shifted_mean_is_found_and_named() {
    try (GuardMonitor monitor = monitor()) {
      assertThat(feed(monitor, known(400, 21), 0)).isEmpty();
      float[] rows = known(200, 22);
      for (int i = 1; i < rows.length; i += 2) {
        rows[i] += 2;
      }
      List<Change> changes = feed(monitor, rows, 60);
      assertThat(channels(changes)).contains("inputs");
      Change inputs = changes.get(0);
      assertThat(inputs.first()).isTrue();
      assertThat(inputs.window()).isEqualTo(2);
      assertThat(inputs.features().get(0).name()).isEqualTo("input 1");
      assertThat(inputs.features().get(0).after() - inputs.features().get(0).before())
          .isBetween(1.5, 2.5);
      assertThat(inputs.message()).contains("input 1 is 0.").contains("above the reference");
      assertThat(feed(monitor, rows, 70).get(0).first()).isFalse();
    }
  }

  @Test
  void a_stuck_sensor_is_found() {
    try (GuardMonitor monitor = monitor()) {
      float[] rows = known(200, 23);
      for (int i = 0; i < rows.length; i += 2) {
        rows[i] = 0.25f;
      }
      List<Change> changes = feed(monitor, rows, 0);
      assertThat(changes.get(0).message()).contains("input 0 is constant at 0.25");
    }
  }

  @Test
  void a_new_class_raises_scores_and_the_unknown_rate() {
    try (GuardMonitor monitor = monitor();
        TensorDataset far = Blobs.far(60)) {
      float[] rows = known(200, 24);
      System.arraycopy(Tensors.floats(far.inputs()), 0, rows, 0, 120);
      // The energy score of far inputs is low or high; the inputs themselves tell in any case.
      assertThat(channels(feed(monitor, rows, 0))).contains("inputs", "scores");
    }
  }

  @Test
  void a_changed_mix_of_classes_is_found_and_estimated() {
    try (GuardMonitor monitor = monitor()) {
      float[] all = known(900, 25);
      float[] rows = new float[400];
      for (int i = 0, at = 0; at < 200; i++) {
        if (i % 3 == 0 || i % 9 == 1) {
          rows[2 * at] = all[2 * i];
          rows[2 * at++ + 1] = all[2 * i + 1];
        }
      }
      List<Change> changes = feed(monitor, rows, 0);
      Change predictions =
          changes.stream().filter(c -> c.channel().equals("predictions")).findFirst().orElseThrow();
      assertThat(predictions.features().get(0).name()).isEqualTo("north");
      assertThat(monitor.summary().last().estimated().get(0)).isBetween(0.68, 0.82);
      assertThat(predictions.message()).contains("estimated true share");
    }
  }

  @Test
  void errors_are_compared_with_the_held_out_rate() {
    try (GuardMonitor monitor = monitor()) {
      boolean[] right = new boolean[200];
      assertThat(monitor.errors(right, START)).isEmpty();
      boolean[] wrong = new boolean[200];
      Arrays.fill(wrong, 0, 100, true);
      List<Change> changes = monitor.errors(wrong, START.plusSeconds(9));
      assertThat(changes).isNotEmpty().allMatch(c -> c.channel().equals("errors"));
      assertThat(changes.stream().map(Change::method)).contains("fisher");
      assertThat(monitor.summary().errors()).isEqualTo(100);
    }
  }

  @Test
  void restored_in_the_middle_of_a_window_it_goes_on_to_the_last_bit(@TempDir Path folder) {
    float[] rows = known(900, 26);
    for (int i = 900; i < rows.length; i += 2) {
      rows[i] += 1;
    }
    boolean[] wrong = new boolean[330];
    Arrays.fill(wrong, 250, 330, true);
    try (GuardMonitor whole = monitor();
        GuardMonitor first = monitor();
        GuardMonitor second = monitor()) {
      List<Change> expected = new ArrayList<>(feed(whole, Arrays.copyOf(rows, 1060), 0));
      feed(first, Arrays.copyOf(rows, 1060), 0);
      whole.errors(Arrays.copyOf(wrong, 130), START);
      first.errors(Arrays.copyOf(wrong, 130), START);
      Path file = folder.resolve("monitor.safetensors");
      StateFiles.write(file, first.state());
      Scopes.run(() -> second.restore(StateFiles.read(file)));
      assertThat(second.summary()).isEqualTo(first.summary());
      expected.clear();
      expected.addAll(feed(whole, Arrays.copyOfRange(rows, 1060, 1800), 5));
      assertThat(feed(second, Arrays.copyOfRange(rows, 1060, 1800), 5)).isEqualTo(expected);
      assertThat(expected).isNotEmpty();
      boolean[] rest = Arrays.copyOfRange(wrong, 130, 330);
      assertThat(second.errors(rest, START)).isEqualTo(whole.errors(rest, START));
      assertThat(second.summary()).isEqualTo(whole.summary());
    }
  }

  @Test
  void a_damaged_state_changes_nothing() {
    try (GuardMonitor monitor = monitor()) {
      feed(monitor, known(50, 27), 0);
      GuardMonitor.Summary before = monitor.summary();
      State good = monitor.state();
      assertThatThrownBy(() -> monitor.restore(new State(good.type(), 1, Map.of(), good.tensors())))
          .isInstanceOf(OutriggerException.class);
      assertThatThrownBy(
              () ->
                  monitor.restore(
                      new State(good.type(), 1, Map.of("monitor", "{}"), good.tensors())))
          .isInstanceOf(OutriggerException.class);
      assertThat(monitor.summary()).isEqualTo(before);
    }
  }

  @Test
  void bad_rows_are_refused_before_anything_changes() {
    try (GuardMonitor monitor = monitor();
        PointerScope scope = new PointerScope()) {
      float[] rows = known(3, 28);
      List<Verdict> verdicts = guard.check(Tensors.of(rows, 3, 2));
      rows[3] = Float.NaN;
      assertThatThrownBy(() -> monitor.observe(rows, 3, verdicts, START))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("Row 1 has the value NaN for input 1");
      assertThatThrownBy(() -> monitor.observe(rows, 2, verdicts, START))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("2 rows of 2 watched values");
      assertThatThrownBy(() -> monitor.observe(guard.answer(Tensors.of(rows, 0, 2)), START))
          .isInstanceOf(OutriggerException.class);
      assertThat(monitor.summary().rows()).isZero();
    }
  }

  @Test
  void settings_are_checked() {
    assertThatThrownBy(() -> MonitorSettings.defaults().withWindow(5, null))
        .hasMessageContaining("windowRows");
    assertThatThrownBy(() -> MonitorSettings.defaults().withPatience(3, 2))
        .hasMessageContaining("agree");
    assertThatThrownBy(() -> MonitorSettings.defaults().withChannels(List.of("input")))
        .hasMessageContaining("no channel 'input'");
    assertThatThrownBy(
            () -> GuardMonitor.of(guard, MonitorSettings.defaults().withMethods("ks", "ddm")))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void time_ends_windows_too_and_patience_waits() {
    MonitorSettings settings =
        MonitorSettings.defaults().withWindow(1000, Duration.ofMinutes(1)).withPatience(2, 3);
    try (GuardMonitor monitor = GuardMonitor.of(guard, settings)) {
      float[] rows = known(100, 29);
      for (int i = 0; i < rows.length; i++) {
        rows[i] += 3;
      }
      assertThat(feed(monitor, rows, 0)).isEmpty();
      assertThat(feed(monitor, rows, 59)).isEmpty();
      assertThat(monitor.summary().windows()).isZero();
      assertThat(feed(monitor, rows, 61)).isEmpty();
      assertThat(monitor.summary().last().rows()).isEqualTo(200);
      assertThat(monitor.summary().last().channels().get(0).beyond()).isTrue();
      assertThat(feed(monitor, rows, 122)).isNotEmpty();
      assertThat(monitor.finish()).isNotEmpty();
      assertThat(monitor.summary().windows()).isEqualTo(3);
    }
  }

  @Test
  void other_tests_of_the_inputs_work_by_name() {
    float[] rows = known(200, 30);
    for (int i = 0; i < rows.length; i++) {
      rows[i] += 2;
    }
    for (String test :
        List.of(
            "cramer-von-mises",
            "psi",
            "mmd-test:permutations=2000",
            "wasserstein:permutations=0")) {
      MonitorSettings settings =
          MonitorSettings.defaults()
              .withAlpha(0.05)
              .withMethods(test, "")
              .withChannels(List.of("inputs"));
      try (GuardMonitor monitor = GuardMonitor.of(guard, settings)) {
        assertThat(channels(feed(monitor, rows, 0))).as(test).containsExactly("inputs");
      }
    }
  }

  @Test
  void brightness_of_images_is_found() {
    NeuralModel images = NeuralModel.create("lenet", Map.of(), new long[] {1, 28, 28}, 3, 1);
    try (images;
        PointerScope scope = new PointerScope();
        Rng rng = new Rng(4)) {
      Tensor pictures = rng.normal(600, 1, 28, 28);
      long[] labels = new long[600];
      for (int i = 0; i < labels.length; i++) {
        labels[i] = i % 3;
      }
      TensorDataset data = TensorDataset.of(pictures, Tensors.of(labels, 600));
      try (Guard guarded = Guard.of(images).detect(new Energy()).fit(data);
          GuardMonitor monitor =
              GuardMonitor.of(guarded, MonitorSettings.defaults().withWindow(100, null))) {
        GuardReference reference = guarded.reference();
        assertThat(reference.watchesInputs()).isFalse();
        assertThat(reference.features())
            .startsWith("input mean", "input standard deviation", "input minimum")
            .hasSize(68);
        assertThat(monitor.observe(guarded.answer(rng.normal(100, 1, 28, 28), true), START))
            .isEmpty();
        Tensor bright = rng.normal(100, 1, 28, 28).add(new org.bytedeco.pytorch.Scalar(0.5));
        Change change = monitor.observe(guarded.answer(bright, true), START).get(0);
        assertThat(change.channel()).isEqualTo("inputs");
        assertThat(change.features().get(0).name()).isEqualTo("input mean");
      }
    }
  }

  @Test
  void memory_stays_flat() {
    try (GuardMonitor monitor = GuardMonitor.of(guard, MonitorSettings.defaults().withHistory(3))) {
      float[] rows = known(200, 31);
      for (int i = 0; i < 30; i++) {
        feed(monitor, rows, i);
        monitor.state();
      }
      double before = ResidentMemory.megabytes();
      for (int i = 0; i < 150; i++) {
        feed(monitor, rows, i);
        monitor.state();
      }
      assertThat(ResidentMemory.megabytes() - before).isLessThan(30);
      assertThat(monitor.summary().history()).hasSize(3);
    }
  }
}
