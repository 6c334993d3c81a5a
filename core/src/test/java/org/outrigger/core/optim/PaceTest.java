package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Tensors;

/** Schedules, clipping, weight averages and cross-entropy. */
class PaceTest {
  @Test
  void schedulesFollowTheirFormulas() {
    assertThat(Schedule.constant().factor(99)).isEqualTo(1);
    Schedule cosine = Schedule.cosine(10, 0.1);
    assertThat(cosine.factor(0)).isEqualTo(1);
    assertThat(cosine.factor(5)).isEqualTo(0.55, within(1e-12));
    assertThat(cosine.factor(10)).isEqualTo(0.1, within(1e-12));
    assertThat(cosine.factor(50)).isEqualTo(0.1, within(1e-12));
    Schedule step = Schedule.step(3, 0.5);
    assertThat(new double[] {step.factor(2), step.factor(3), step.factor(6)})
        .containsExactly(1, 0.5, 0.25);
    Schedule multi = Schedule.multiStep(0.1, 7, 4);
    assertThat(multi.factor(3)).isEqualTo(1);
    assertThat(multi.factor(4)).isEqualTo(0.1);
    assertThat(multi.factor(7)).isEqualTo(0.01, within(1e-15));
    Schedule warm = step.warmUp(4);
    assertThat(new double[] {warm.factor(0), warm.factor(3), warm.factor(6), warm.factor(7)})
        .containsExactly(0.25, 1, 1, 0.5);
    assertThatThrownBy(() -> Schedule.cosine(0)).hasMessageContaining("steps = 0");
  }

  private static Tensor leaf(double... values) {
    return Tensors.of(values, values.length).requires_grad_(true);
  }

  @Test
  void clippingByNormScalesAllGradientsByOneFactor() {
    try (PointerScope scope = new PointerScope()) {
      Tensor a = leaf(3, 0);
      Tensor b = leaf(0, 4);
      Tensor none = leaf(1);
      a.mul(a).sum().add(b.mul(b).sum()).div(new Scalar(2)).backward();
      assertThat(Clipping.byNorm(List.of(a, b, none), 1)).isEqualTo(5, within(1e-12));
      assertThat(Tensors.doubles(a.grad())).containsExactly(new double[] {0.6, 0}, within(1e-6));
      assertThat(Tensors.doubles(b.grad())).containsExactly(new double[] {0, 0.8}, within(1e-6));
      double[] before = Tensors.doubles(a.grad());
      Clipping.byNorm(List.of(a, b), 2);
      assertThat(Tensors.doubles(a.grad())).containsExactly(before);
      Clipping.byValue(List.of(a, b, none), 0.5);
      assertThat(Tensors.doubles(b.grad())).containsExactly(0, 0.5);
      assertThat(Clipping.byNorm(List.of(none), 1)).isZero();
    }
  }

  @Test
  void averageFollowsTheWeightsAndSwaps() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> weights = new LinkedHashMap<>();
      weights.put("w", leaf(1, 2));
      weights.put("count", Tensors.of(new long[] {5}, 1));
      try (Ema ema = new Ema(weights, 0.75, false);
          Ema other = new Ema(weights, 0, true)) {
        weights.get("w").detach().fill_(new Scalar(5.0));
        weights.get("count").fill_(new Scalar(6));
        ema.update();
        assertThat(Tensors.doubles(ema.averages().get("w"))).containsExactly(2, 2.75);
        assertThat(Tensors.longs(ema.averages().get("count"))).containsExactly(6);
        other.restore(ema.state());
        assertThat(other.state().values()).isEqualTo(ema.state().values());
        ema.swapIn();
        assertThat(Tensors.doubles(weights.get("w"))).containsExactly(2, 2.75);
        assertThatThrownBy(ema::update).isInstanceOf(OutriggerException.class);
        assertThatThrownBy(ema::swapIn).isInstanceOf(OutriggerException.class);
        ema.swapOut();
        assertThat(Tensors.doubles(weights.get("w"))).containsExactly(5, 5);
        other.update();
        ema.update();
        assertThat(Tensors.doubles(other.averages().get("w")))
            .containsExactly(Tensors.doubles(ema.averages().get("w")));
      }
    }
  }

  @Test
  void warmUpForgetsEarlyWeightsSooner() {
    try (PointerScope scope = new PointerScope()) {
      Map<String, Tensor> weights = Map.of("w", Tensors.of(new double[] {0}, 1));
      try (Ema ema = new Ema(weights, 0.999, true)) {
        weights.get("w").fill_(new Scalar(1.0));
        ema.update();
        assertThat(Tensors.doubles(ema.averages().get("w"))[0]).isEqualTo(0.9, within(1e-12));
      }
    }
  }

  @Test
  void crossEntropyLeavesOutliersOut() {
    try (PointerScope scope = new PointerScope()) {
      Tensor logits =
          Tensors.of(new double[] {1, 2, 3, 0, 0, 0, 4, 1, 1}, 3, 3).requires_grad_(true);
      double z0 = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3));
      double z2 = Math.log(Math.exp(4) + 2 * Math.exp(1));
      Tensor labels = Tensors.labels(2, -3, 1);
      assertThat(CrossEntropy.loss(logits, labels, 0).item_double())
          .isEqualTo(((z0 - 3) + (z2 - 1)) / 2, within(1e-12));
      double smooth = 0.9 * ((z0 - 3) + (z2 - 1)) / 2 + 0.1 * ((z0 - 2) + (z2 - 2)) / 2;
      Tensor loss = CrossEntropy.loss(logits, labels, 0.1);
      assertThat(loss.item_double()).isEqualTo(smooth, within(1e-12));
      double[] gradient = Tensors.doubles(Gradients.of(loss, logits));
      assertThat(new double[] {gradient[3], gradient[4], gradient[5]}).containsOnly(0);
      assertThat(CrossEntropy.loss(logits, Tensors.labels(-1, -1, -1), 0).item_double()).isZero();
      assertThatThrownBy(() -> CrossEntropy.loss(logits, Tensors.labels(0, 1), 0))
          .isInstanceOf(OutriggerException.class)
          .hasMessageStartingWith("The cross-entropy could not be computed");
    }
  }
}
