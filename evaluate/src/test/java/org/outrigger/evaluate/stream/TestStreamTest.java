package org.outrigger.evaluate.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.corruption.Corruption;
import org.outrigger.evaluate.stream.StreamProtocol.Reset;
import org.outrigger.evaluate.stream.StreamProtocol.Sequence;

class TestStreamTest {
  private static final List<Shift> SHIFTS =
      IntStream.rangeClosed(1, 3)
          .mapToObj(i -> Shift.of("plus " + i, x -> x.add(new Scalar(1000.0 * i))))
          .toList();

  /** A batch without its tensors. */
  private record Seen(
      List<Integer> domains, List<Integer> values, List<Integer> labels, int round, boolean reset) {
    int size() {
      return values.size();
    }
  }

  private static List<Seen> walk(TestStream stream) {
    List<Seen> seen = new ArrayList<>();
    long start = 0;
    try (StreamWalk walk = stream.walk()) {
      while (walk.hasNext()) {
        try (StreamBatch batch = walk.next()) {
          assertThat(batch.start()).isEqualTo(start);
          start += batch.size();
          seen.add(
              new Seen(
                  list(batch.domains()),
                  list(Tensors.ints(batch.inputs())),
                  batch.labels() == null ? List.of() : list(Tensors.ints(batch.labels())),
                  batch.round(),
                  batch.reset()));
        }
      }
      assertThatThrownBy(walk::next).isInstanceOf(NoSuchElementException.class);
    }
    assertThat(start).isEqualTo(stream.rows());
    return seen;
  }

  private static List<Integer> list(int[] values) {
    return Arrays.stream(values).boxed().toList();
  }

  private static List<Integer> joined(List<Seen> seen, Function<Seen, List<Integer>> part) {
    return seen.stream().flatMap(batch -> part.apply(batch).stream()).toList();
  }

  private static TestStream stream(String protocol, int rows) {
    StreamProtocol named = StreamProtocol.parse(protocol).with(s -> s.withSeed(5).withRounds(2));
    CountedRows data = new CountedRows(rows, 4, true);
    return named.sequence() == Sequence.GRADUAL
        ? named.overFamilies(data, List.of(family("fog"), family("snow")))
        : named.over(data, SHIFTS);
  }

  private static ShiftFamily family(String name) {
    return ShiftFamily.of(
        name, s -> Shift.of(name, x -> x.add(new Scalar(1000.0 * s * name.length()))));
  }

  static Stream<String> names() {
    return StreamProtocol.all().stream().map(StreamProtocol::name);
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyWalkGivesTheSameBatchesAndAnotherSeedOthers(String name) {
    List<Seen> first = walk(stream(name, 97));
    assertThat(walk(stream(name, 97))).isEqualTo(first);
    StreamProtocol other = StreamProtocol.parse(name).with(s -> s.withSeed(6).withRounds(2));
    if (other.sequence() != Sequence.GRADUAL) {
      assertThat(walk(other.over(new CountedRows(97, 4, true), SHIFTS))).isNotEqualTo(first);
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyRowOfEveryDomainComesOnceARound(String name) {
    if (name.equals("label_shift")) {
      return;
    }
    TestStream stream = stream(name, 97);
    boolean gradual = stream.protocol().sequence() == Sequence.GRADUAL;
    List<Seen> seen = walk(stream);
    for (int round = 0; round < 2; round++) {
      Map<String, Integer> counts = new HashMap<>();
      for (Seen batch : seen) {
        for (int i = 0; i < batch.size() && batch.round() == round; i++) {
          counts.merge(batch.domains().get(i) + "/" + batch.values().get(i), 1, Integer::sum);
          assertThat(batch.labels().get(i)).isEqualTo(batch.values().get(i) % 1000 % 4);
        }
      }
      assertThat(counts).hasSize(stream.domains().size() * 97);
      counts.forEach(
          (row, count) -> {
            // Only the strongest severity comes once on the way up and down.
            boolean twice = gradual && Integer.parseInt(row.split("/", 2)[0]) % 5 != 4;
            assertThat(count).as(row).isEqualTo(twice ? 2 : 1);
          });
    }
  }

  @Test
  void domainsComeOneAfterTheOtherAndKeepTheirOwnInputs() {
    List<Seen> seen = walk(stream("continual", 97));
    assertThat(joined(seen, Seen::domains).stream().distinct().toList()).containsExactly(0, 1, 2);
    for (Seen batch : seen) {
      assertThat(batch.domains()).containsOnly(batch.domains().get(0));
      assertThat(batch.values()).allMatch(value -> value / 1000 == batch.domains().get(0) + 1);
    }
    assertThat(seen.stream().map(Seen::round).distinct().toList()).containsExactly(0, 1);
  }

  @Test
  void mixedDomainsAreMixedAndEachRowKnowsItsDomain() {
    List<Seen> seen = walk(stream("mixed_domains", 97));
    assertThat(seen.get(0).domains()).contains(0, 1, 2);
    for (Seen batch : seen) {
      for (int i = 0; i < batch.size(); i++) {
        assertThat(batch.values().get(i) / 1000).isEqualTo(batch.domains().get(i) + 1);
      }
    }
  }

  @Test
  void aGradualStreamRisesAndFalls() {
    TestStream stream = stream("gradual", 64);
    assertThat(stream.domains()).startsWith("fog 1", "fog 2").endsWith("snow 4", "snow 5");
    assertThat(walk(stream).stream().limit(18).map(batch -> batch.domains().get(0)).toList())
        .containsExactly(0, 1, 2, 3, 4, 3, 2, 1, 0, 5, 6, 7, 8, 9, 8, 7, 6, 5);
  }

  @Test
  void rowsAreOrderedAnewInEveryPassAndRound() {
    List<Seen> seen =
        walk(
            StreamProtocol.parse("continual")
                .with(s -> s.withBatchSize(50).withPasses(2).withRounds(2))
                .over(new CountedRows(50, 2, true), SHIFTS.subList(0, 2)));
    assertThat(seen).hasSize(8);
    assertThat(seen.stream().map(batch -> batch.domains().get(0)).toList())
        .containsExactly(0, 0, 1, 1, 0, 0, 1, 1);
    assertThat(seen.stream().map(Seen::values).distinct().count()).isEqualTo(8);
  }

  @Test
  void resetMarksAreWhereTheProtocolSaysAndAlwaysAtTheStart() {
    assertThat(marks("continual")).containsExactly(0);
    assertThat(marks("mixed_domains")).containsExactly(0);
    // 97 rows are two batches; two passes are one shift.
    assertThat(marks("reset_each_shift")).containsExactly(0, 2, 4, 6, 8, 10);
    assertThat(marks("reset_each_shift_correlated")).containsExactly(0, 2, 4, 6, 8, 10);
    assertThat(marks("episodic")).hasSize(12);
    List<Seen> twice =
        walk(
            StreamProtocol.parse("reset_each_shift")
                .with(s -> s.withPasses(2))
                .over(new CountedRows(97, 4, true), SHIFTS));
    assertThat(IntStream.range(0, 12).filter(i -> twice.get(i).reset()).toArray())
        .containsExactly(0, 4, 8);
    List<Seen> gradual =
        walk(
            StreamProtocol.parse("gradual")
                .withReset(Reset.EACH_BATCH)
                .overFamilies(new CountedRows(97, 4, true), List.of(family("fog"))));
    assertThat(gradual).allMatch(Seen::reset);
  }

  private static int[] marks(String protocol) {
    List<Seen> seen = walk(stream(protocol, 97));
    return IntStream.range(0, seen.size()).filter(i -> seen.get(i).reset()).toArray();
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 9, 10, 11, 12, 20, 21, 22, 29})
  void aSmallLastBatchIsJoinedToTheOneBefore(int rows) {
    List<Integer> sizes =
        walk(
                StreamProtocol.parse("continual")
                    .with(s -> s.withBatchSize(10).withMinimumBatch(2))
                    .over(new CountedRows(rows, 2, true), SHIFTS.subList(0, 1)))
            .stream()
            .map(Seen::size)
            .toList();
    assertThat(sizes.stream().mapToInt(i -> i).sum()).isEqualTo(rows);
    assertThat(sizes).allMatch(size -> size >= 2 && size <= 11);
    assertThat(sizes).hasSize(rows % 10 == 1 ? rows / 10 : (rows + 9) / 10);
  }

  @Test
  void aSingleSampleStreamHasBatchesOfOneRow() {
    assertThat(walk(stream("single_sample", 5))).hasSize(30).allMatch(batch -> batch.size() == 1);
  }

  @Test
  void aCorrelatedStreamHasLongRunsAndASortedOneTheLongest() {
    double shuffled = run("continual", .1);
    double correlated = run("correlated", .1);
    double sorted = run("correlated", 0);
    assertThat(shuffled).isBetween(1.0, 1.3);
    assertThat(correlated).isGreaterThan(5 * shuffled);
    assertThat(sorted).isEqualTo(100);
    assertThat(run("mixed_domains_correlated", 0)).isEqualTo(300);
  }

  /** The mean length of a run of one class. */
  private static double run(String protocol, double delta) {
    List<Integer> labels =
        joined(
            walk(
                StreamProtocol.parse(protocol)
                    .with(s -> s.withDelta(delta))
                    .over(new CountedRows(1000, 10, true), SHIFTS)),
            Seen::labels);
    // The last class of a domain and the first of the next differ when sorted.
    long changes =
        IntStream.range(1, labels.size())
            .filter(i -> !labels.get(i).equals(labels.get(i - 1)))
            .count();
    return labels.size() / (changes + 1.0);
  }

  @Test
  void aLabelShiftMakesSomeClassesFrequentInEachDomainOthers() {
    List<Seen> seen =
        walk(
            StreamProtocol.parse("label_shift")
                .over(new CountedRows(1000, 10, true), SHIFTS.subList(0, 2)));
    List<long[]> counts = new ArrayList<>();
    for (int domain = 0; domain < 2; domain++) {
      long[] of = new long[10];
      for (Seen batch : seen) {
        if (batch.domains().get(0) == domain) {
          batch.labels().forEach(label -> of[label]++);
        }
      }
      assertThat(Arrays.stream(of).sum()).isEqualTo(1000);
      assertThat(Arrays.stream(of).max().orElseThrow()).isBetween(150L, 930L);
      counts.add(of);
    }
    assertThat(counts.get(0)).isNotEqualTo(counts.get(1));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aStreamOfAMillionRowsKeepsAFewBatchesAtATime(boolean inMemory) {
    CountedRows data = new CountedRows(250_000, 4, inMemory);
    TestStream stream =
        StreamProtocol.parse("continual")
            .with(s -> s.withBatchSize(500).withRounds(2))
            .over(List.of(new Domain("a", data), new Domain("b", data)));
    assertThat(stream.rows()).isEqualTo(1_000_000);
    assertThat(data.reads).hasValue(0);
    int most = 0;
    int taken = 0;
    try (StreamWalk walk = stream.walk()) {
      while (walk.hasNext()) {
        walk.next().close();
        taken++;
        most = Math.max(most, data.reads.get() - taken);
      }
    }
    assertThat(taken).isEqualTo(2000);
    assertThat(data.reads).hasValue(2000);
    // A loader reads at most twice as many batches ahead as it has threads, of which 4 at most.
    assertThat(most).isLessThanOrEqualTo(inMemory ? 0 : 8);
  }

  @Test
  void closingAWalkEndsItWithoutReadingOn() {
    CountedRows data = new CountedRows(100_000, 4, false);
    StreamWalk walk =
        StreamProtocol.parse("continual")
            .over(List.of(new Domain("a", data), new Domain("b", data)))
            .walk();
    walk.next().close();
    walk.close();
    int reads = data.reads.get();
    assertThat(reads).isLessThan(20);
    assertThat(walk.hasNext()).isFalse();
  }

  @Test
  void corruptionsAreTheDomainsWhereNoneAreGiven() {
    try (TensorDataset images =
        Scopes.scoped(
            () -> {
              try (Rng rng = new Rng(1)) {
                return TensorDataset.of(rng.uniform(4, 1, 32, 32), Tensors.labels(0, 1, 0, 1));
              }
            })) {
      TestStream stream = StreamProtocol.parse("continual").over(images);
      assertThat(stream.domains())
          .containsExactly(
              "gaussian_noise",
              "shot_noise",
              "impulse_noise",
              "defocus_blur",
              "glass_blur",
              "motion_blur",
              "zoom_blur",
              "snow",
              "frost",
              "fog",
              "brightness",
              "contrast",
              "elastic_transform",
              "pixelate",
              "jpeg_compression");
      StreamProtocol fog =
          StreamProtocol.parse("gradual").with(s -> s.withCorruptions(List.of(Corruption.FOG)));
      List<float[]> means = new ArrayList<>();
      try (StreamWalk walk = fog.over(images).walk()) {
        while (walk.hasNext()) {
          try (StreamBatch batch = walk.next()) {
            means.add(Scopes.scoped(() -> Tensors.floats(batch.inputs().std())));
          }
        }
      }
      assertThat(means).hasSize(9);
      // Fog hides more and more, and less again; noise belongs to the row, not to the visit.
      assertThat(means.get(4)[0]).isLessThan(means.get(0)[0]);
    }
  }

  @Test
  void namesAreFoundHoweverTheyAreSpelledAndUnknownOnesAreListed() {
    assertThat(StreamProtocol.parse(" Mixed-Domains ").name()).isEqualTo("mixed_domains");
    assertThatThrownBy(() -> StreamProtocol.parse("mixd"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("'mixd'")
        .hasMessageContaining("continual, gradual, mixed_domains");
  }

  @Test
  void badStreamsAreRefusedBeforeTheyRun() {
    CountedRows data = new CountedRows(50, 4, true);
    StreamProtocol continual = StreamProtocol.parse("continual");
    refused(() -> continual.over(data, List.of()), "no domain");
    refused(
        () -> continual.over(List.of(new Domain("a", data), new Domain("a", data))), "called 'a'");
    refused(
        () -> continual.over(List.of(new Domain("a", new CountedRows(1, 1, true)))),
        "minimumBatch = 2");
    refused(
        () ->
            StreamProtocol.parse("correlated")
                .over(List.of(new Domain("a", new CountedRows(9, 0, true)))),
        "has no labels");
    refused(() -> StreamProtocol.parse("gradual").over(data, SHIFTS), "severities");
    refused(() -> continual.with(s -> s.withSeverity(6)), "severity = 6");
    refused(() -> continual.with(s -> s.withSeverity(0)), "severity = 0");
    refused(() -> continual.with(s -> s.withDelta(-.1)), "delta");
    refused(() -> continual.with(s -> s.withZipf(1)), "zipf");
    refused(() -> continual.with(s -> s.withBatchSize(0)), "batchSize");
    refused(() -> continual.with(s -> s.withMinimumBatch(65)), "minimumBatch = 65");
    refused(() -> continual.with(s -> s.withPasses(0)), "passes");
    refused(() -> continual.with(s -> s.withRounds(0)), "rounds");
    refused(() -> continual.with(s -> s.withCorruptions(List.of())), "corruptions");
    refused(
        () ->
            walk(
                StreamProtocol.parse("correlated")
                    .over(List.of(new Domain("a", new CountedRows(39, 4, true))))),
        "needs 40 rows or more");
  }

  private static void refused(Runnable work, String why) {
    assertThatThrownBy(work::run).isInstanceOf(OutriggerException.class).hasMessageContaining(why);
  }
}
