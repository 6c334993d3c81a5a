package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** The memories of NOTE and RoTTA. */
class RowMemoryTest {
  private PointerScope scope;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor row(double value) {
    return Tensors.of(new double[] {value, -value}, 2);
  }

  @Test
  void aReservoirIsBalancedThoughTheStreamIsInLabelOrder() {
    Random random = new Random(1);
    try (Pbrs memory = new Pbrs(12, 3)) {
      for (int i = 0; i < 90; i++) {
        memory.offer(row(i), i / 30, random::nextDouble);
        assertThat(memory.size()).isEqualTo(Math.min(12, i + 1));
      }
      assertThat(memory.occupancy()).containsExactly(4, 4, 4);
    }
  }

  @Test
  void aReservoirSamplesAClassEvenlyOverTime() {
    Random random = new Random(2);
    double sum = 0;
    for (int run = 0; run < 300; run++) {
      try (PointerScope inner = new PointerScope();
          Pbrs memory = new Pbrs(4, 2)) {
        for (int i = 0; i < 40; i++) {
          memory.offer(row(i), 0, random::nextDouble);
        }
        sum += memory.inputs().select(1, 0).mean().item_double();
      }
    }
    // The mean of 0 .. 39; the deviation of the mean of 1,200 draws is 0.33.
    assertThat(sum / 300).isCloseTo(19.5, within(1.5));
  }

  @Test
  void aClassHasItsShareAndTheWorstRowGivesWay() {
    try (Cstu memory = new Cstu(4, 2, 1, 1)) {
      for (int i = 0; i < 4; i++) {
        memory.offer(row(i), 0, 0.1 * i);
      }
      // Each class has room for two; of the first, rows 2 and 3 are more uncertain than old ones.
      assertThat(memory.occupancy()).containsExactly(2, 0);
      assertThat(memory.offer(row(9), 0, Math.log(2))).isFalse();
      assertThat(memory.offer(row(10), 0, 0)).isTrue();
      assertThat(memory.offer(row(11), 1, 0.3)).isTrue();
      assertThat(memory.occupancy()).containsExactly(2, 1);
      assertThat(memory.ages()).hasSize(3).endsWith(1);
    }
  }

  @Test
  void youngRowsCountMore() {
    double[] weights = Tensors.doubles(Cstu.weights(Tensors.of(new double[] {0, 1, 5}, 3)));
    assertThat(weights[0]).isEqualTo(0.5);
    assertThat(weights[1]).isCloseTo(Math.exp(-1) / (1 + Math.exp(-1)), within(1e-12));
    assertThat(weights[2]).isLessThan(weights[1]);
  }

  @Test
  void aRestoredMemoryGoesOnTheSame() {
    Random random = new Random(3);
    try (Pbrs one = new Pbrs(5, 2);
        Pbrs two = new Pbrs(5, 2)) {
      for (int i = 0; i < 20; i++) {
        one.offer(row(i), i % 2, random::nextDouble);
      }
      two.restore(one.state());
      assertThat(two.inputs().equal(one.inputs())).isTrue();
      Random a = new Random(4);
      Random b = new Random(4);
      for (int i = 20; i < 60; i++) {
        one.offer(row(i), i % 2, a::nextDouble);
        two.offer(row(i), i % 2, b::nextDouble);
      }
      assertThat(two.inputs().equal(one.inputs())).isTrue();
      assertThat(two.state().values()).isEqualTo(one.state().values());
    }
  }

  @Test
  void damagedStatesAndRowsOfAnotherShapeAreRefused() {
    try (Cstu memory = new Cstu(4, 2, 1, 1)) {
      memory.offer(row(1), 1, 0.2);
      State state = memory.state();
      var values = new LinkedHashMap<>(state.values());
      values.put("rows", Arrays.asList("a", "b"));
      assertThatThrownBy(() -> memory.restore(new State("cstu", 1, values, state.tensors())))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("damaged");
      assertThat(memory.occupancy()).containsExactly(0, 1);
      assertThatThrownBy(() -> memory.check(Tensors.of(new double[6], 2, 3)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("[3]");
      memory.check(Tensors.of(new double[4], 2, 2));
    }
  }
}
