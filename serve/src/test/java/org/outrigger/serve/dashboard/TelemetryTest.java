package org.outrigger.serve.dashboard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.outrigger.guard.GuardInfo;
import org.outrigger.guard.Threshold;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.AnsweredRequest;
import org.outrigger.serve.JudgedBatch;

class TelemetryTest {
  private static final long START = Instant.parse("2026-01-01T00:00:00Z").toEpochMilli();

  private static final class Sum implements Mergeable<Sum> {
    private long value;

    @Override
    public void add(Sum other) {
      value += other.value;
    }

    @Override
    public void clear() {
      value = 0;
    }
  }

  private static GuardInfo info() {
    return new GuardInfo(
        "m",
        null,
        List.of("a", "b", "c"),
        new long[] {2},
        List.of("width", "height"),
        "2026-01-01T00:00:00Z",
        Map.of(),
        "d",
        "",
        10,
        0,
        5,
        5,
        0,
        List.of(),
        null,
        null,
        null,
        null,
        new Threshold(1, 0.95, 0.95, 0.93, 0.97, 100),
        Map.of(),
        null);
  }

  private static JudgedBatch batch(long at, String id, double... scores) {
    List<Verdict> verdicts = new ArrayList<>();
    float[] inputs = new float[2 * scores.length];
    for (int i = 0; i < scores.length; i++) {
      verdicts.add(
          new Verdict(
              "0",
              i % 3,
              "abc".substring(i % 3, i % 3 + 1),
              0.9,
              scores[i],
              scores[i] > 1,
              "energy",
              null));
      inputs[2 * i] = i;
    }
    return new JudgedBatch(
        "g",
        "1",
        false,
        Instant.ofEpochMilli(at),
        List.of(new JudgedBatch.Request(id, "s", inputs, verdicts, 1_000_000)));
  }

  private static Telemetry telemetry(boolean inputs) {
    Telemetry telemetry = new Telemetry(inputs, Instant.ofEpochMilli(START));
    telemetry.opened("g", "1", false, new Shapes(info(), null));
    return telemetry;
  }

  @Test
  void aRingForgetsWhatIsTooOldAndNothingElse() {
    TimeRing<Sum> ring = new TimeRing<>(Duration.ofSeconds(10), 4, Sum::new);
    for (int i = 0; i < 10; i++) {
      Sum bucket = ring.at(START + i * 5_000);
      assertThat(bucket).isNotNull();
      bucket.value += 1;
    }
    // Ten counts in five buckets: the first was written over by the fifth.
    assertThat(ring.sum(START, START + 10_000).value).isZero();
    assertThat(ring.sum(START, START + 60_000).value).isEqualTo(8);
    assertThat(ring.sum(START + 10_000, START + 20_000).value).isEqualTo(2);
    assertThat(ring.at(START)).isNull();
    ring.at(START + 1_000_000).value += 7;
    assertThat(ring.sum(START + 1_000_000, START + 1_010_000).value).isEqualTo(7);
    assertThat(ring.sum(START + 970_000, START + 1_000_000).value).isZero();
  }

  @Test
  void everyRangeCountsEachRowOnce() {
    Telemetry telemetry = telemetry(false);
    GuardTelemetry counts = telemetry.guard("g");
    long now = START + Duration.ofHours(50).toMillis();
    int minutes = 50 * 60;
    for (int i = 0; i < minutes; i++) {
      telemetry.judged(batch(START + i * 60_000L, "r" + i, 0.5, 2), 3);
    }
    assertThat(counts.sum(Range.MINUTES_15, now).rows()).isEqualTo(2 * 14);
    assertThat(counts.sum(Range.HOUR_1, now).rows()).isEqualTo(2 * 59);
    assertThat(counts.sum(Range.HOURS_6, now).rows()).isEqualTo(2 * (6 * 60 - 5));
    assertThat(counts.sum(Range.HOURS_48, now).rows()).isEqualTo(2 * (48 * 60 - 20));
    for (Range range : Range.values()) {
      List<Traffic> steps = counts.steps(range, now);
      assertThat(steps).hasSize(range.steps());
      assertThat(steps.stream().mapToLong(Traffic::rows).sum())
          .isEqualTo(counts.sum(range, now).rows());
      assertThat(counts.sum(range, now).unknownRate()).isEqualTo(0.5);
      assertThat(counts.sum(range, now).meanScore()).isCloseTo(1.25, within(1e-9));
      assertThat(counts.sum(range, now).queue()).isEqualTo(3);
    }
    Shape shape = counts.shape("1", Range.HOUR_1, now);
    assertThat(Arrays.stream(shape.scores()).sum()).isEqualTo(2 * 59);
    assertThat(shape.classes()).containsExactly(59, 59, 0, 0);
    assertThat(counts.shape("2", Range.HOUR_1, now)).isNull();
  }

  @Test
  void binsAreChosenFromTheFirstScoresAndThoseAreCounted() {
    Telemetry telemetry = telemetry(false);
    GuardTelemetry counts = telemetry.guard("g");
    for (int i = 0; i < 63; i++) {
      telemetry.judged(batch(START, "r", i / 63.0), 0);
    }
    assertThat(counts.shape("1", Range.HOUR_1, START)).isNull();
    telemetry.judged(batch(START, "r", 100), 0);
    Shape shape = counts.shape("1", Range.HOUR_1, START);
    assertThat(Arrays.stream(shape.scores()).sum()).isEqualTo(64);
  }

  @Test
  void scoresOutsideAndNoNumbersHaveBinsOfTheirOwn() {
    Bins bins = new Bins(0, 4, 4);
    assertThat(bins.of(-1)).isZero();
    assertThat(bins.of(0)).isEqualTo(1);
    assertThat(bins.of(3.999999999)).isEqualTo(4);
    assertThat(bins.of(4)).isEqualTo(5);
    assertThat(bins.of(Double.NaN)).isEqualTo(5);
    assertThat(bins.of(Double.POSITIVE_INFINITY)).isEqualTo(5);
    assertThat(bins.edges()).containsExactly(0, 1, 2, 3, 4);
    Bins same = Bins.around(new double[] {2, 2, 2}, 2);
    assertThat(same.of(2)).isBetween(1, Bins.INNER);
  }

  @Test
  void percentilesAreRightWithinAFewPerCent() {
    SplittableRandom random = new SplittableRandom(1);
    Latencies latencies = new Latencies();
    double[] millis = new double[20_000];
    for (int i = 0; i < millis.length; i++) {
      millis[i] = Math.exp(random.nextDouble() * 8 - 1);
      latencies.count((long) (millis[i] * 1e6));
    }
    Arrays.sort(millis);
    for (double share : new double[] {0.5, 0.95, 0.99}) {
      double exact = millis[(int) (share * millis.length)];
      assertThat(latencies.quantile(share)).isCloseTo(exact, within(0.05 * exact));
    }
    assertThat(new Latencies().quantile(0.5)).isNaN();
  }

  @Test
  void onlyAnswersThatWentWellHaveALatencyAndUnknownGuardsAreNotCounted() {
    Telemetry telemetry = telemetry(false);
    Instant at = Instant.ofEpochMilli(START);
    telemetry.answered(new AnsweredRequest(at, "g", 200, 5_000_000));
    telemetry.answered(new AnsweredRequest(at, "g", 429, 1_000));
    telemetry.answered(new AnsweredRequest(at, "made up", 404, 1_000));
    Traffic sum = telemetry.guard("g").sum(Range.HOUR_1, START);
    assertThat(sum.statuses()).containsExactly(Map.entry(200, 1L), Map.entry(429, 1L));
    assertThat(sum.latencies().total()).isEqualTo(1);
    assertThat(telemetry.guard("made up")).isNull();
  }

  @Test
  void theLargestUnknownScoresOfTheLastHourAreKeptAlsoWhenLargerOnesHavePassed() {
    Telemetry telemetry = telemetry(true);
    GuardTelemetry counts = telemetry.guard("g");
    for (int i = 0; i < 100; i++) {
      telemetry.judged(batch(START, "early", 1000 + i), 0);
      telemetry.judged(batch(START + 1_800_000, "late", 10 + i), 0);
    }
    List<UnknownInput> top = counts.top(START + 1_900_000);
    assertThat(top).hasSize(TopUnknown.SHOWN).allMatch(input -> input.id().equals("early"));
    assertThat(top.get(0).verdict().score()).isEqualTo(1099);
    top = counts.top(START + 3_700_000);
    assertThat(top).hasSize(TopUnknown.SHOWN).allMatch(input -> input.id().equals("late"));
    assertThat(top.get(0).verdict().score()).isEqualTo(109);
    assertThat(counts.input(top.get(0).key())).isInstanceOf(KeptInput.Values.class);
    assertThat(counts.top(START + 10_000_000)).isEmpty();
  }

  @Test
  void inputsAreOnlyKeptIfTheOperatorSaysSo() {
    Telemetry telemetry = telemetry(false);
    telemetry.judged(batch(START, "r".repeat(5000), 5), 0);
    UnknownInput row = telemetry.guard("g").top(START).get(0);
    assertThat(row.input()).isNull();
    assertThat(row.id()).hasSizeLessThan(300);
  }

  @Test
  void picturesAreScaledAndMadeSmall() {
    float[] values = new float[1 + 3 * 100 * 50];
    for (int i = 0; i < values.length; i++) {
      values[i] = i % 7 - 3;
    }
    KeptInput.Picture picture =
        (KeptInput.Picture) KeptInput.of(values, 1, new long[] {3, 100, 50}, List.of());
    assertThat(picture.height()).isEqualTo(50);
    assertThat(picture.width()).isEqualTo(25);
    assertThat(picture.pixels()).hasSize(3 * 50 * 25);
    KeptInput.Picture small =
        (KeptInput.Picture)
            KeptInput.of(new float[] {-2, 0, 2, 2}, 0, new long[] {1, 2, 2}, List.of());
    assertThat(small.pixels()).containsExactly((byte) 0, (byte) 128, (byte) 255, (byte) 255);
    assertThat(KeptInput.of(new float[300], 0, new long[] {300}, List.of())).isNull();
    assertThat(KeptInput.of(new float[8], 0, new long[] {2, 2, 2}, List.of())).isNull();
  }

  @Test
  void memoryStaysTheSameHoweverLongItRuns() {
    Telemetry telemetry = telemetry(true);
    long at = START;
    long before = 0;
    for (int round = 0; round < 4; round++) {
      for (int i = 0; i < 20_000; i++) {
        at += 10_000;
        telemetry.judged(batch(at, "request " + i, 0.1 * (i % 30), 5 + i), i);
        telemetry.answered(new AnsweredRequest(Instant.ofEpochMilli(at), "g", 200, i));
      }
      System.gc();
      long used = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
      if (round == 1) {
        before = used;
      } else if (round == 3) {
        assertThat(used - before).isLessThan(2_000_000);
      }
    }
    assertThat(telemetry.guard("g").top(at)).hasSize(TopUnknown.SHOWN);
  }
}
