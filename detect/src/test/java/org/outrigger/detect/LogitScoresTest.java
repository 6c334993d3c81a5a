package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class LogitScoresTest {
  private static double[] of(Tensor scores) {
    return Tensors.doubles(scores);
  }

  @Property(tries = 30)
  void aConstantAddedToAllLogitsShiftsEnergyAndLeavesProbabilities(
      @ForAll long seed,
      @ForAll @DoubleRange(min = -50, max = 50) double constant,
      @ForAll @IntRange(min = 2, max = 12) int classes) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      Tensor logits = rng.normal(ScalarType.Double, 5, classes).mul(new Scalar(4.0));
      Tensor moved = logits.add(new Scalar(constant));
      assertThat(of(Msp.score(moved, 1))).containsExactly(of(Msp.score(logits, 1)), within(1e-12));
      assertThat(of(Entropy.score(moved))).containsExactly(of(Entropy.score(logits)), within(1e-9));
      assertThat(of(Gen.score(moved, 0.1, 5)))
          .containsExactly(of(Gen.score(logits, 0.1, 5)), within(1e-9));
      assertThat(of(Energy.score(moved, 2).add(new Scalar(constant))))
          .containsExactly(of(Energy.score(logits, 2)), within(1e-9));
      assertThat(of(MaxLogit.score(moved).add(new Scalar(constant))))
          .containsExactly(of(MaxLogit.score(logits)), within(1e-9));
    }
  }

  @Test
  void hugeLogitsAndVanishingProbabilitiesStayFinite() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor logits = Tensors.of(new double[][] {{1e4, -1e4, 0}, {0, 0, 0}});
      assertThat(of(Energy.score(logits, 1))).containsExactly(-1e4, -Math.log(3));
      assertThat(of(Entropy.score(logits))[0]).isZero();
      assertThat(of(Entropy.score(logits))[1]).isCloseTo(Math.log(3), within(1e-12));
      assertThat(of(Gen.score(logits, 0.1, 2))[0]).isZero();
      assertThat(of(Msp.score(logits, 1))).containsExactly(-1, -1 / 3.0);
    }
  }

  @Test
  void probabilitiesNextToOneAreToldApartInFloat32() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor logits = Tensors.of(new float[] {20, 0, 25, 0}, 2, 2);
      double[] scores = of(Msp.score(logits, 1));
      assertThat(scores[0]).isGreaterThan(scores[1]);
    }
  }

  @Test
  void settingsOutOfRangeAreNamed() {
    assertThatThrownBy(() -> new Energy.Settings(0))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("temperature = 0.0");
    assertThatThrownBy(() -> new Gen.Settings(0.1, 0)).hasMessageContaining("m = 0");
    assertThatThrownBy(() -> new Mcm.Settings(Double.NaN)).hasMessageContaining("tau");
    assertThatThrownBy(() -> new ReAct.Settings(101)).hasMessageContaining("percentile");
    assertThatThrownBy(() -> new AshS.Settings(100)).hasMessageContaining("percentile");
    assertThatThrownBy(() -> new NnGuide.Settings(5, 0, 0)).hasMessageContaining("alpha");
    assertThatThrownBy(() -> new Knn(0)).hasMessageContaining("k = 0");
  }
}
