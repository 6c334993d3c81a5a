package org.outrigger.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class TemperatureScalingTest {
  /** Labels drawn from softmax(z): the fitted temperature of k z must be near k. */
  @Property(tries = 15)
  void findsTheTemperatureThatMadeTheLabels(
      @ForAll @IntRange(min = 0, max = 1000) int seed,
      @ForAll @DoubleRange(min = 0.3, max = 8) double k) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      Tensor z = rng.normal(torch.ScalarType.Double, 4000, 5).mul(new Scalar(2.0));
      Tensor labels = torch.multinomial(torch.softmax(z, 1), 1, true, rng.generator()).squeeze(1);
      double t = TemperatureScaling.fit(z.mul(new Scalar(k)), labels, 0.01, 100);
      assertThat(t).isCloseTo(k, within(0.15 * k));
    }
  }

  @Property(tries = 10)
  void scalingTheLogitsScalesTheTemperature(
      @ForAll @DoubleRange(min = 0.5, max = 4) double factor) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3)) {
      Tensor z = rng.normal(torch.ScalarType.Double, 300, 4);
      Tensor labels =
          z.add(rng.normal(torch.ScalarType.Double, 300, 4)).argmax(new LongOptional(1), false);
      double t = TemperatureScaling.fit(z, labels, 1e-4, 1e4);
      double scaled = TemperatureScaling.fit(z.mul(new Scalar(factor)), labels, 1e-4, 1e4);
      assertThat(scaled).isCloseTo(factor * t, within(1e-9 * scaled));
    }
  }

  @Test
  void theFastPathAgreesWithTheTensors() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(5)) {
      Tensor z = rng.normal(20, 6).mul(new Scalar(30.0));
      Tensor labels = rng.normal(20, 6).argmax(new LongOptional(1), false);
      TemperatureScaling scaling = new TemperatureScaling();
      scaling.fit(z, labels);
      int[] predicted = Tensors.ints(z.argmax(new LongOptional(1), false));
      Tensor p = scaling.probabilities(z);
      double[] top = Tensors.doubles(p.max(1, false).get0());
      double[] fast = scaling.confidences(Tensors.floats(z), 6, predicted);
      for (int i = 0; i < 20; i++) {
        assertThat(fast[i]).isCloseTo(top[i], within(1e-6));
      }
      assertThat(Tensors.ints(p.argmax(new LongOptional(1), false))).containsExactly(predicted);
      TemperatureScaling restored = new TemperatureScaling();
      restored.restore(scaling.state());
      assertThat(restored.temperature()).isEqualTo(scaling.temperature());
    }
  }

  @Test
  void badInputLeavesTheStateAlone() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      TemperatureScaling scaling = new TemperatureScaling();
      Tensor z = Tensors.of(new float[] {1, 2, 3, Float.NaN}, 2, 2);
      assertThatThrownBy(() -> scaling.fit(z, Tensors.labels(0, 1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("NaN");
      Tensor good = Tensors.of(new float[] {1, 2, 3, 4}, 2, 2);
      assertThatThrownBy(() -> scaling.fit(good, Tensors.labels(0, 2)))
          .hasMessageContaining("the classes are 0 to 1");
      assertThatThrownBy(() -> scaling.fit(good, Tensors.labels(0)))
          .hasMessageContaining("N = 2 from logits");
      assertThat(scaling.fitted()).isFalse();
      assertThatThrownBy(() -> scaling.probabilities(good)).hasMessageContaining("not fitted");
      assertThatThrownBy(
              () -> Methods.create(Calibrator.class, "temperature", java.util.Map.of("lowest", -1)))
          .hasMessageContaining("lowest = -1.0 is out of range");
      assertThatThrownBy(() -> Methods.create(Calibrator.class, "temprature", java.util.Map.of()))
          .hasMessageContaining("Did you mean temperature?");
    }
  }
}
