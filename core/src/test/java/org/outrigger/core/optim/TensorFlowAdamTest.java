package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class TensorFlowAdamTest {
  @Test
  void epsilonIsAddedBeforeTheCorrection() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      double gradient = 1e-6;
      double rate = 0.1;
      Tensor p = Tensors.of(new double[] {1});
      double m = 0;
      double v = 0;
      double expected = 1;
      try (Adam adam = new TensorFlowAdam(Map.of("p", p), Adam.Settings.of(rate))) {
        for (int t = 1; t <= 3; t++) {
          adam.step(Map.of("p", Tensors.of(new double[] {gradient})));
          m = 0.9 * m + 0.1 * gradient;
          v = 0.999 * v + 0.001 * gradient * gradient;
          double paced = rate * Math.sqrt(1 - Math.pow(0.999, t)) / (1 - Math.pow(0.9, t));
          expected -= paced * m / (Math.sqrt(v) + 1e-8);
          assertThat(p.item_double()).isCloseTo(expected, within(1e-12));
        }
      }
      // PyTorch's own would have moved by nearly three rates.
      assertThat(1 - expected).isBetween(0.1 * rate, 2.6 * rate);
    }
  }
}
