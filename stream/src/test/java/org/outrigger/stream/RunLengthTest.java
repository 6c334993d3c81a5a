package org.outrigger.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.stream.RunLength.Source;

class RunLengthTest {
  private static RunLength quiet(String text, Source source) {
    return RunLength.simulate(
        () -> Methods.parseOne(DriftDetector.class, text), source, 40, 2000, 1);
  }

  /** The bands are wide enough for 40 streams and narrow enough to tell the detectors apart. */
  @ParameterizedTest
  @CsvSource({
    "eddm, 100, 800",
    "ddm, 1000, 20000",
    "hddm-a, 8000, Infinity",
    "hddm-w, 8000, Infinity",
    "adwin, 20000, Infinity",
    "page-hinkley:threshold=20:mode=up, 3000, Infinity",
    "cusum, 100, 1000"
  })
  void withoutChangeAlarmsAreAsRareAsThePageSays(String text, double least, double most) {
    RunLength length = quiet(text, Source.errors(0.2));
    assertThat(length.mean()).as(text).isBetween(least, most);
    assertThat(length.low()).isLessThan(length.mean());
    assertThat(length.high()).isGreaterThanOrEqualTo(length.mean());
  }

  @Test
  void sameSeedSameResult() {
    assertThat(quiet("kswin", Source.normal(0, 1))).isEqualTo(quiet("kswin", Source.normal(0, 1)));
  }

  @Test
  void aChangeEndsTheRunSoonAfterIt() {
    RunLength length =
        RunLength.simulate(
            Adwin::new, Source.normal(0, 1).then(500, Source.normal(2, 1)), 20, 1000, 3);
    assertThat(length.alarms()).isEqualTo(20);
    assertThat(length.median()).isBetween(501.0, 600.0);
  }

  @Test
  void aStrayParameterIsNamed() {
    assertThatThrownBy(() -> Source.errors(1.5))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("rate");
    assertThatThrownBy(() -> RunLength.simulate(Ddm::new, Source.errors(0.1), 0, 10, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("runs");
  }
}
