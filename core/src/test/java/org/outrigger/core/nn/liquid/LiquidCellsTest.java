package org.outrigger.core.nn.liquid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LiquidCellsTest {
  private static final int INPUTS = 3;

  /** A kind of cell, drawn from a generator. */
  record Kind(String name, Function<Rng, LiquidCell> make) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Kind> kinds() {
    Wiring wiring = Wiring.autoNcp(INPUTS, 9, 2, 0.5, 1);
    CfcCell.Settings small = CfcCell.Settings.defaults().withBackbone(5, 2);
    return Stream.of(
        new Kind("LTC", rng -> new LtcCell(wiring, LtcCell.Settings.defaults(), rng)),
        new Kind(
            "implicit LTC",
            rng -> new LtcCell(wiring, LtcCell.Settings.defaults().withImplicit(true), rng)),
        new Kind("CfC", rng -> new CfcCell(INPUTS, 4, small, rng)),
        new Kind(
            "CfC without gate",
            rng -> new CfcCell(INPUTS, 4, small.withMode(CfcCell.Mode.NO_GATE), rng)),
        new Kind("pure CfC", rng -> new CfcCell(INPUTS, 4, small.withMode(CfcCell.Mode.PURE), rng)),
        new Kind(
            "CfC with silu and no backbone",
            rng ->
                new CfcCell(
                    INPUTS, 4, small.withActivation(Activation.Kind.SILU).withBackbone(5, 0), rng)),
        new Kind("wired CfC", rng -> new WiredCfcCell(wiring, CfcCell.Mode.DEFAULT, rng)),
        new Kind(
            "LSTM before a CfC, with an output layer",
            rng -> new LiquidNetwork(new CfcCell(INPUTS, 4, small, rng), true, 2, rng)));
  }

  private static Tensor times(Rng rng, long... shape) {
    return rng.uniform(ScalarType.Double, shape).mul(new Scalar(2.0)).add(new Scalar(0.1));
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aSequenceIsItsStepsAndCanBeCutAnywhere(Kind kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1);
        LiquidCell cell = kind.make.apply(rng)) {
      cell.to(ScalarType.Double);
      Tensor x = rng.normal(ScalarType.Double, 2, 5, INPUTS);
      Tensor elapsed = times(rng, 2, 5);
      LiquidCell.Steps whole = cell.unroll(x, null, elapsed);
      assertThat(whole.outputs().shape()).containsExactly(2, 5, cell.outputs());
      Tensor state = cell.zeroState(x);
      for (int t = 0; t < 5; t++) {
        LiquidCell.Steps step = cell.step(x.select(1, t), state, elapsed.narrow(1, t, 1));
        assertThat(Tensors.doubles(step.outputs()))
            .containsExactly(Tensors.doubles(whole.outputs().select(1, t)));
        state = step.states();
      }
      LiquidCell.Steps first = cell.unroll(x.narrow(1, 0, 3), null, elapsed.narrow(1, 0, 3));
      LiquidCell.Steps rest =
          cell.unroll(x.narrow(1, 3, 2), first.states().select(1, 2), elapsed.narrow(1, 3, 2));
      assertThat(Tensors.doubles(rest.states()))
          .containsExactly(Tensors.doubles(whole.states().narrow(1, 3, 2)));
      assertThat(Tensors.doubles(cell.forward(x)))
          .containsExactly(Tensors.doubles(cell.unroll(x, null, null).outputs()));
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void gradientsAreThoseOfFiniteDifferences(Kind kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2);
        LiquidCell cell = kind.make.apply(rng)) {
      cell.to(ScalarType.Double);
      Tensor x = rng.normal(ScalarType.Double, 2, 3, INPUTS);
      Tensor elapsed = times(rng, 2, 3);
      List<Tensor> parameters = List.copyOf(cell.parameters().values());
      List<Tensor> gradients = Gradients.of(loss(cell, x, elapsed), parameters, false);
      double step = 1e-6;
      for (int i = 0; i < parameters.size(); i++) {
        Tensor values = parameters.get(i).detach().view(-1);
        double[] expected = Tensors.doubles(gradients.get(i));
        int at = (int) (values.numel() / 2);
        double before = values.select(0, at).item_double();
        values.select(0, at).fill_(new Scalar(before + step));
        double above = loss(cell, x, elapsed).item_double();
        values.select(0, at).fill_(new Scalar(before - step));
        double below = loss(cell, x, elapsed).item_double();
        values.select(0, at).fill_(new Scalar(before));
        assertThat(expected[at])
            .as(List.copyOf(cell.parameters().keySet()).get(i))
            .isCloseTo((above - below) / (2 * step), within(1e-5));
      }
    }
  }

  private static Tensor loss(LiquidCell cell, Tensor x, Tensor elapsed) {
    return cell.unroll(x, null, elapsed).outputs().square().sum();
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aCopyWithItsStateDictIsTheSameCell(Kind kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3);
        Rng other = new Rng(4);
        LiquidCell cell = kind.make.apply(rng);
        LiquidCell drawn = kind.make.apply(other)) {
      Tensor x = rng.normal(2, 4, INPUTS);
      double[] expected = Tensors.doubles(cell.forward(x));
      assertThat(Tensors.doubles(drawn.forward(x))).isNotEqualTo(expected);
      drawn.loadStateDict(cell.stateDict(), true);
      assertThat(Tensors.doubles(drawn.forward(x))).containsExactly(expected);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void badStepsAreRefused(Kind kind) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(5);
        LiquidCell cell = kind.make.apply(rng)) {
      Tensor x = rng.normal(2, 4, INPUTS);
      Tensor one = torch.ones(2, 1);
      assertThatThrownBy(() -> cell.unroll(rng.normal(2, 4, INPUTS + 1), null, null))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("inputs = 3");
      assertThatThrownBy(() -> cell.unroll(x, null, torch.zeros(2, 4)))
          .hasMessageContaining("above 0");
      assertThatThrownBy(() -> cell.unroll(x.div(new Scalar(0.0)), null, null))
          .hasMessageContaining("elapsed time");
      assertThatThrownBy(() -> cell.step(x.select(1, 0), rng.normal(2, 1), one))
          .hasMessageContaining("stateSize");
      assertThatThrownBy(() -> cell.step(x.select(1, 0), cell.zeroState(x), torch.ones(1, 1)))
          .hasMessageContaining("B = 2");
      assertThatThrownBy(() -> cell.forward(x.select(1, 0))).isInstanceOf(OutriggerException.class);
    }
  }

  @Test
  void theStateOfLtcNeuronsStaysBetweenLeakAndReversalPotentials() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(6);
        LtcCell cell =
            new LtcCell(Wiring.fullyConnected(INPUTS, 6, 1, 0), LtcCell.Settings.defaults(), rng)) {
      Tensor x = rng.normal(4, 50, INPUTS).mul(new Scalar(20.0));
      Tensor elapsed = rng.uniform(4, 50).mul(new Scalar(1000.0)).add(new Scalar(1e-3));
      double largest = cell.unroll(x, null, elapsed).states().abs().max().item_double();
      assertThat(largest).isLessThanOrEqualTo(1.0001).isGreaterThan(0.1);
    }
  }

  @Test
  void timeMovesACellFurtherTowardsWhereItGoes() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(7);
        LtcCell cell =
            new LtcCell(Wiring.fullyConnected(INPUTS, 6, 1, 0), LtcCell.Settings.defaults(), rng)) {
      Tensor x = rng.normal(1, INPUTS);
      Tensor state = cell.zeroState(x);
      double last = 0;
      for (double t : new double[] {1e-6, 0.1, 1, 10}) {
        Tensor after = cell.step(x, state, torch.full(new long[] {1, 1}, new Scalar(t))).states();
        double moved = after.abs().sum().item_double();
        assertThat(moved).isGreaterThan(last);
        last = moved;
      }
      Tensor still = cell.step(x, state, torch.full(new long[] {1, 1}, new Scalar(1e-6))).states();
      assertThat(still.abs().max().item_double()).isLessThan(1e-4);
    }
  }

  @Test
  void explicitParametersAreClippedAndImplicitOnesAreNot() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(8)) {
      Wiring wiring = Wiring.fullyConnected(INPUTS, 5, 1, 0);
      for (boolean implicit : new boolean[] {false, true}) {
        try (LtcCell cell =
            new LtcCell(wiring, LtcCell.Settings.defaults().withImplicit(implicit), rng)) {
          for (String name : List.of("gleak", "cm", "w", "sensory_w", "vleak")) {
            cell.tensor(name).detach().fill_(new Scalar(-1.0));
          }
          cell.constrain();
          double expected = implicit ? -1 : 0;
          for (String name : List.of("gleak", "cm", "w", "sensory_w")) {
            assertThat(cell.tensor(name).max().item_double()).as(name).isEqualTo(expected);
          }
          assertThat(cell.tensor("vleak").max().item_double()).isEqualTo(-1);
        }
      }
    }
  }

  @Test
  void anAbsentSynapseHasNoEffectAndNoGradient() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(9)) {
      Wiring wiring = Wiring.autoNcp(INPUTS, 9, 2, 0.8, 3);
      try (LtcCell cell = new LtcCell(wiring, LtcCell.Settings.defaults(), rng)) {
        Tensor x = rng.normal(2, 3, INPUTS);
        Tensor gradient = Gradients.of(cell.forward(x).square().sum(), cell.tensor("w"));
        Tensor absent = wiring.adjacency().eq(new Scalar(0.0));
        assertThat(gradient.masked_select(absent).abs().max().item_double()).isZero();
        assertThat(gradient.abs().max().item_double()).isPositive();
      }
    }
  }

  @Test
  void trainingStepsDoNotGrowMemory() {
    Torch.start();
    try (PointerScope outer = new PointerScope();
        Rng rng = new Rng(10);
        WiredCfcCell cell =
            new WiredCfcCell(Wiring.autoNcp(INPUTS, 9, 2, 0.5, 1), CfcCell.Mode.DEFAULT, rng)) {
      Tensor x = rng.normal(8, 20, INPUTS);
      List<Tensor> parameters = List.copyOf(cell.parameters().values());
      double start = 0;
      for (int i = 0; i < 60; i++) {
        try (PointerScope scope = new PointerScope()) {
          Gradients.of(cell.forward(x).square().sum(), parameters, false);
        }
        if (i == 20) {
          start = ResidentMemory.megabytes();
        }
      }
      assertThat(ResidentMemory.megabytes() - start).isLessThan(64);
    }
  }

  @Test
  void sequencesOfOneBatchDoNotMix() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(11);
        CfcCell cell = new CfcCell(INPUTS, 4, CfcCell.Settings.defaults(), rng)) {
      Tensor x = rng.normal(3, 4, INPUTS);
      Tensor elapsed = rng.uniform(3, 4).add(new Scalar(0.1));
      double[] together = Tensors.doubles(cell.unroll(x, null, elapsed).states().narrow(0, 1, 1));
      double[] alone =
          Tensors.doubles(cell.unroll(x.narrow(0, 1, 1), null, elapsed.narrow(0, 1, 1)).states());
      for (int i = 0; i < alone.length; i++) {
        assertThat(alone[i]).isCloseTo(together[i], within(1e-6));
      }
      assertThat(torch.cat(new TensorVector(x), 0).isfinite().all().item_bool()).isTrue();
    }
  }
}
