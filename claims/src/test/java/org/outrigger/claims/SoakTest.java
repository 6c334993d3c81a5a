package org.outrigger.claims;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;

class SoakTest {
  private static List<double[]> readings(double... megabytes) {
    return IntStream.range(0, megabytes.length)
        .mapToObj(i -> new double[] {(i + 1) * 10, megabytes[i]})
        .toList();
  }

  @Test
  void trainsAndChecksAndReadsMemoryAlongTheWay() {
    List<String> phases = new ArrayList<>();
    List<Soak.Phase> result =
        new Soak(
                new Soak.Settings(120, 100, 100, List.of("safety-net/tent"), 200),
                (phase, done, megabytes) -> {
                  phases.add(phase);
                  assertThat(megabytes).isGreaterThan(10);
                })
            .run();
    assertThat(phases).contains("training", "checking").hasSizeGreaterThan(60);
    assertThat(result)
        .extracting(Soak.Phase::name)
        .containsExactly("training", "checking", "safety-net/tent");
    assertThat(result).allSatisfy(phase -> assertThat(phase.count()).isBetween(100L, 130L));
  }

  @Test
  void growthDuringTheWarmUpDoesNotCount() {
    Soak.Phase phase = Soak.fit("x", readings(100, 600, 800, 800, 800, 800, 800, 800));
    assertThat(phase.growth()).isZero();
    assertThat(phase.flat()).isTrue();
  }

  @Test
  void steadyGrowthIsNotFlat() {
    Soak.Phase phase = Soak.fit("x", readings(800, 810, 820, 830, 840, 850, 860, 870));
    assertThat(phase.growth()).isCloseTo(50, org.assertj.core.data.Offset.offset(1e-9));
    assertThat(phase.flat()).isFalse();
  }

  @Test
  void upAndDownIsFlat() {
    assertThat(Soak.fit("x", readings(800, 810, 800, 810, 800, 810, 800, 810)).flat()).isTrue();
  }

  @Test
  void tooShortARunIsRefused() {
    assertThatThrownBy(() -> new Soak.Settings(10, 100, 100, List.of(), 200))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("steps = 10");
  }
}
