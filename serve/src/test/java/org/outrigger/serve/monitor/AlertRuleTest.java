package org.outrigger.serve.monitor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;

class AlertRuleTest {
  private static Monitor.Window window(int minute, boolean drifting) {
    Instant at = Instant.parse("2026-01-01T00:00:00Z").plus(Duration.ofMinutes(minute));
    return new Monitor.Window(
        at,
        1,
        0,
        0,
        List.of(
            new Monitor.Channel(
                "inputs", "ks", 1, 0.01, 0.05, 1, drifting, List.of(), "It does.")));
  }

  private static String told(AlertRule rule, int from, String windows) {
    List<String> told = new ArrayList<>();
    for (int i = 0; i < windows.length(); i++) {
      for (AlertRule.Decision each : rule.take(window(from + i, windows.charAt(i) == 'd'))) {
        told.add(from + i + " " + each.tell());
      }
    }
    return String.join(", ", told);
  }

  @Test
  void aChannelIsToldOnceAgainAfterAWhileAndWhenItIsQuiet() {
    assertThat(told(new AlertRule(Duration.ofMinutes(10), 3), 0, "..d.d..ddd..ddd...d...."))
        .isEqualTo("2 DRIFTS, 12 STILL_DRIFTS, 17 RECOVERED, 18 DRIFTS, 21 RECOVERED");
    assertThat(told(new AlertRule(Duration.ofHours(1), 1), 0, "dd.d"))
        .isEqualTo("0 DRIFTS, 2 RECOVERED, 3 DRIFTS");
  }

  @Test
  void aRestoredOneGoesOnAndADamagedStateChangesNothing() {
    AlertRule rule = new AlertRule(Duration.ofMinutes(10), 3);
    told(rule, 0, "dd.");
    AlertRule other = new AlertRule(Duration.ofMinutes(10), 3);
    other.restore(rule.state());
    assertThat(told(other, 3, "d.......d")).isEqualTo(told(rule, 3, "d.......d"));
    for (Object bad :
        List.of(
            7,
            Map.of(),
            Map.of("since", "x", "told", "y", "quiet", 0),
            Map.of("since", "2026-01-01T00:00:00Z", "told", "2026-01-01T00:00:00Z", "quiet", -1))) {
      Map<String, Object> before = rule.state();
      assertThatThrownBy(() -> rule.restore(Map.of("inputs", bad)))
          .isInstanceOf(OutriggerException.class);
      assertThat(rule.state()).isEqualTo(before);
    }
  }
}
