package org.outrigger.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

class DriftMonitorTest {
  private static DriftMonitor monitor() {
    return new DriftMonitor(new KsTest(new KsTest.Settings(0.001, Correction.BONFERRONI)))
        .channel("errors", new HddmW(), new Adwin());
  }

  private static Tensor rows(long seed, double shift) {
    try (Rng rng = new Rng(seed)) {
      Tensor rows = rng.normal(torch.ScalarType.Double, 80, 3);
      rows.select(1, 2).add_(new Scalar(shift));
      return rows;
    }
  }

  private static Map<String, double[]> errors(long seed, double rate) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] all = new double[80];
    Arrays.setAll(all, i -> random.nextDouble() < rate ? 1 : 0);
    return Map.of("errors", all);
  }

  private static List<DriftMonitor.Event> run(DriftMonitor monitor, int from, int to) {
    List<DriftMonitor.Event> events = new ArrayList<>();
    for (int b = from; b < to; b++) {
      boolean late = b >= 6;
      events.addAll(monitor.update(rows(100 + b, late ? 2 : 0), errors(b, late ? 0.7 : 0.1)));
    }
    return events;
  }

  @Test
  void itSaysWhatChangedAndTellsItsListeners() {
    Scopes.run(
        () -> {
          try (DriftMonitor monitor = monitor()) {
            List<DriftMonitor.Event> heard = new ArrayList<>();
            monitor.listen(heard::add).fit(rows(1, 0));
            List<DriftMonitor.Event> events = run(monitor, 0, 10);
            assertThat(heard).isEqualTo(events);
            assertThat(events).isNotEmpty().allMatch(event -> event.batch() >= 6);
            assertThat(events)
                .filteredOn(event -> event.channel().equals("features"))
                .hasSize(4)
                .allMatch(event -> event.features().equals(List.of(2)));
            assertThat(events).extracting(DriftMonitor.Event::method).contains("hddm-w", "adwin");
          }
        });
  }

  @Test
  void aRestoredMonitorGoesOnExactly(@TempDir Path folder) {
    Scopes.run(
        () -> {
          try (DriftMonitor whole = monitor();
              DriftMonitor restored = monitor()) {
            whole.fit(rows(1, 0));
            run(whole, 0, 5);
            StateFiles.write(folder.resolve("m"), whole.state());
            restored.restore(StateFiles.read(folder.resolve("m")));
            assertThat(restored.batches()).isEqualTo(5);
            assertThat(run(restored, 5, 10)).isNotEmpty().isEqualTo(run(whole, 5, 10));
            DriftMonitor other = new DriftMonitor(new KsTest()).channel("losses", new Adwin());
            assertThatThrownBy(() -> other.restore(whole.state()))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("channels");
          }
        });
  }

  @Test
  void aBadBatchChangesNothing() {
    Scopes.run(
        () -> {
          try (DriftMonitor monitor = monitor()) {
            monitor.fit(rows(1, 0));
            run(monitor, 0, 2);
            String before = monitor.state().values().toString();
            for (Map<String, double[]> bad :
                List.of(Map.of("errors", new double[] {0, 2}), Map.of("other", new double[] {0}))) {
              assertThatThrownBy(() -> monitor.update(rows(2, 0), bad))
                  .isInstanceOf(OutriggerException.class);
            }
            assertThatThrownBy(() -> monitor.update(rows(2, 0).select(1, 0), errors(1, 0.1)))
                .isInstanceOf(OutriggerException.class);
            assertThat(monitor.state().values()).hasToString(before);
          }
        });
  }
}
