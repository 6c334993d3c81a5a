package org.outrigger.core.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class FocalLossTest {
  private static double at(FocalLoss loss, double[] z, Tensor labels) {
    try (PointerScope scope = new PointerScope()) {
      return loss.loss(new Output(Tensors.of(z, 5, 3), null), labels).item_double();
    }
  }

  @ParameterizedTest
  @CsvSource({"0, false", "0.5, false", "2, false", "3, false", "0, true"})
  void theGradientIsThatOfFiniteDifferences(double gamma, boolean sampleDependent) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(4)) {
      FocalLoss loss = new FocalLoss(gamma, sampleDependent);
      Tensor logits = rng.normal(ScalarType.Double, 5, 3).mul(new Scalar(2.0)).requires_grad_(true);
      Tensor labels = Tensors.labels(0, 2, -1, 1, 1);
      double[] gradient =
          Tensors.doubles(Gradients.of(loss.loss(new Output(logits, null), labels), logits));
      double[] z = Tensors.doubles(logits);
      double step = 1e-6;
      for (int i = 0; i < z.length; i++) {
        double[] up = z.clone();
        double[] down = z.clone();
        up[i] += step;
        down[i] -= step;
        double slope = (at(loss, up, labels) - at(loss, down, labels)) / (2 * step);
        assertThat(gradient[i]).as("entry " + i).isCloseTo(slope, within(1e-7));
      }
    }
  }

  @Test
  void withoutFocusItIsCrossEntropyAndSureRowsStayFinite() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor logits = Tensors.of(new double[] {900, 0, 0, 1, 2, 3}, 2, 3).requires_grad_(true);
      Tensor labels = Tensors.labels(0, 0);
      Output output = new Output(logits, null);
      assertThat(new FocalLoss(0).loss(output, labels).item_double())
          .isCloseTo(CrossEntropy.loss(logits, labels, 0).item_double(), within(1e-12));
      Tensor gradient = Gradients.of(new FocalLoss(0.5).loss(output, labels), logits);
      assertThat(gradient.isfinite().all().item_bool()).isTrue();
      assertThat(new FocalLoss(2).loss(output, Tensors.labels(-1, -1)).item_double()).isZero();
      assertThatThrownBy(() -> new FocalLoss(-1))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("gamma = -1.0 is out of range");
    }
  }
}
