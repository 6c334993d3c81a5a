package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.adapt.PriorCorrection.Form;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class PriorCorrectionTest {
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

  @Test
  void aSmoothedMixSumsToOneAndKeepsItsOrder() {
    Tensor prior = Tensors.of(new double[] {.7, .2, .1, 0}, 4);
    double[] smoothed = Tensors.doubles(PriorCorrection.smoothed(prior, 100));
    assertThat(Arrays.stream(smoothed).sum()).isCloseTo(1, within(1e-12));
    double s = .25 / .7;
    assertThat(smoothed[0]).isCloseTo((.7 + s) / (1 + 4 * s), within(1e-12));
    assertThat(smoothed).isSortedAccordingTo((a, b) -> Double.compare(b, a));
    // A single row tells less, so that its mix is nearer to uniform.
    assertThat(PriorCorrection.smoothed(prior, 1).amax().item_double()).isLessThan(smoothed[0]);
  }

  @Test
  void thePapersFormMultipliesProbabilitiesAndTheCodesFormLogits() {
    try (Rng rng = new Rng(2)) {
      Tensor logits = rng.normal(ScalarType.Double, 5, 3);
      Tensor prior = Tensors.of(new double[] {.5, .3, .2}, 3);
      Tensor product = torch.softmax(logits, 1).mul(prior);
      Tensor expected = product.div(product.sum(1).unsqueeze(1));
      assertThat(
              Tensors.doubles(
                  torch.softmax(PriorCorrection.correct(logits, prior, Form.PROBABILITIES), 1)))
          .containsExactly(Tensors.doubles(expected), within(1e-12));
      assertThat(Tensors.doubles(PriorCorrection.correct(logits, prior, Form.LOGITS)))
          .containsExactly(Tensors.doubles(logits.mul(prior)));
    }
  }

  @Test
  void aBalancedBatchIsLeftAlone() {
    Tensor logits = Tensors.of(new double[][] {{2, 0, 0}, {0, 2, 0}, {0, 0, 2}});
    assertThat(
            Tensors.doubles(
                torch.softmax(
                    PriorCorrection.correct(
                        logits, PriorCorrection.prior(logits), Form.PROBABILITIES),
                    1)))
        .containsExactly(Tensors.doubles(torch.softmax(logits, 1)), within(1e-12));
  }
}
