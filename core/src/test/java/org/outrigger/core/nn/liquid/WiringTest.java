package org.outrigger.core.nn.liquid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class WiringTest {
  @Property(tries = 60)
  void everyNeuronOfACircuitIsReachedAndUsed(
      @ForAll @IntRange(min = 1, max = 6) int inputs,
      @ForAll @IntRange(min = 8, max = 40) int units,
      @ForAll @IntRange(min = 1, max = 4) int outputs,
      @ForAll @DoubleRange(min = 0.1, max = 1) double sparsity,
      @ForAll @IntRange(min = 0, max = 1000) int seed) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Wiring.Circuit sizes = Wiring.Circuit.auto(units, outputs, sparsity);
      Wiring wiring = Wiring.ncp(inputs, sizes, seed);
      double[][] sensory = Tensors.rows(wiring.sensoryAdjacency());
      double[][] adjacency = Tensors.rows(wiring.adjacency());
      int[] inter = wiring.layers().get(0);
      int[] command = wiring.layers().get(1);
      int[] motor = wiring.layers().get(2);
      assertThat(inter).hasSize(sizes.inter());
      assertThat(command).hasSize(sizes.command());
      assertThat(motor).containsExactly(IntStream.range(0, outputs).toArray());
      for (int neuron : inter) {
        assertThat(reached(sensory, neuron)).isTrue();
        assertThat(Arrays.stream(command).filter(to -> adjacency[neuron][to] != 0).count())
            .isGreaterThanOrEqualTo(sizes.interFanout());
      }
      for (double[] sensor : sensory) {
        assertThat(Arrays.stream(inter).filter(to -> sensor[to] != 0).count())
            .isGreaterThanOrEqualTo(sizes.sensoryFanout());
        assertThat(Arrays.stream(command).allMatch(to -> sensor[to] == 0)).isTrue();
      }
      for (int neuron : command) {
        assertThat(Arrays.stream(inter).anyMatch(from -> adjacency[from][neuron] != 0)).isTrue();
        assertThat(Arrays.stream(motor).anyMatch(to -> adjacency[neuron][to] != 0)).isTrue();
      }
      for (int neuron : motor) {
        assertThat(Arrays.stream(command).filter(from -> adjacency[from][neuron] != 0).count())
            .isGreaterThanOrEqualTo(sizes.motorFanin());
        assertThat(Arrays.stream(adjacency[neuron]).allMatch(v -> v == 0)).isTrue();
      }
    }
  }

  private static boolean reached(double[][] matrix, int neuron) {
    return Arrays.stream(matrix).anyMatch(row -> row[neuron] != 0);
  }

  @Test
  void theSameSeedGivesTheSameWiring() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Wiring one = Wiring.autoNcp(3, 20, 2, 0.5, 7);
      Wiring same = Wiring.autoNcp(3, 20, 2, 0.5, 7);
      Wiring other = Wiring.autoNcp(3, 20, 2, 0.5, 8);
      double[] values = Tensors.doubles(one.adjacency());
      assertThat(Tensors.doubles(same.adjacency())).containsExactly(values);
      assertThat(Tensors.doubles(other.adjacency())).isNotEqualTo(values);
      // Asking again draws nothing again.
      assertThat(Tensors.doubles(one.adjacency())).containsExactly(values);
    }
  }

  @Test
  void randomWiringsHaveTheirShareOfSynapsesAndAThirdInhibits() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      double[] sparse = Tensors.doubles(Wiring.random(10, 40, 2, 0.75, 1).adjacency());
      assertThat(Arrays.stream(sparse).filter(v -> v != 0).count()).isEqualTo(400);
      double[] dense = Tensors.doubles(Wiring.fullyConnected(10, 40, 2, 1).adjacency());
      assertThat(Arrays.stream(dense).filter(v -> v == 0).count()).isZero();
      assertThat(Arrays.stream(dense).filter(v -> v < 0).count()).isBetween(450L, 620L);
    }
  }

  @Test
  void whatCannotBeWiredIsRefused() {
    assertThatThrownBy(() -> Wiring.autoNcp(3, 8, 6, 0.5, 0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("below units - 2 = 6");
    assertThatThrownBy(() -> Wiring.autoNcp(3, 8, 2, 0.05, 0)).hasMessageContaining("sparsity");
    assertThatThrownBy(() -> new Wiring.Circuit(4, 2, 1, 5, 1, 1, 1))
        .hasMessageContaining("sensoryFanout");
    assertThatThrownBy(() -> new Wiring.Circuit(4, 2, 1, 2, 1, 1, 3))
        .hasMessageContaining("motorFanin");
    double[][] one = {{0, 2}, {0, 0}};
    assertThatThrownBy(() -> Wiring.of(new double[1][2], one, 1, List.of(new int[] {0, 1})))
        .hasMessageContaining("-1, 0 or 1");
    assertThatThrownBy(
            () -> Wiring.of(new double[1][2], new double[2][2], 1, List.of(new int[] {0, 0})))
        .hasMessageContaining("once");
  }
}
