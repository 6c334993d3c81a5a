package org.outrigger.core.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;

class TorchTest {
  @Test
  void arraysSurviveTheRoundTrip() {
    try (PointerScope scope = new PointerScope()) {
      float[] values = {1.5f, -2f, 3f, 4f, 5f, 6f};
      Tensor t = Tensors.of(values, 2, 3);
      assertThat(Tensors.floats(t)).containsExactly(values);
      assertThat(Tensors.floats(t.t())).containsExactly(1.5f, 4f, -2f, 5f, 3f, 6f);
      assertThat(Tensors.longs(Tensors.labels(3, 1))).containsExactly(3, 1);
    }
  }

  @Test
  void nativeErrorsSpeakOurWordsFirst() {
    try (PointerScope scope = new PointerScope()) {
      Tensor a = Tensors.of(new float[6], 2, 3);
      assertThatThrownBy(() -> Torch.call("The product failed.", () -> torch.matmul(a, a)))
          .isInstanceOf(OutriggerException.class)
          .extracting(e -> ((OutriggerException) e).firstLine())
          .isEqualTo("The product failed.");
    }
  }

  @Test
  void resultsOutliveTheirScopeAndArgumentsAreNotFreed() {
    try (PointerScope scope = new PointerScope()) {
      Tensor a = Tensors.of(new float[] {1, 2}, 2);
      Tensor b = Scopes.tensor(() -> a);
      Tensor c = Scopes.tensor(() -> a.add(b));
      assertThat(Tensors.floats(c)).containsExactly(2, 4);
      assertThat(Tensors.floats(a)).containsExactly(1, 2);
    }
  }

  @Test
  void secondOrderGradient() {
    try (PointerScope scope = new PointerScope()) {
      Tensor x = Tensors.of(new double[] {3}, 1).requires_grad_(true);
      Tensor loss = x.mul(x).mul(x).sum();
      Tensor g = Gradients.of(loss, List.of(x), true).get(0);
      assertThat(Tensors.doubles(g)).containsExactly(27);
      assertThat(Tensors.doubles(Gradients.of(g.sum(), x))).containsExactly(18);
    }
  }

  @Test
  void theNumberOfThreadsReachesTheMatrixProductsToo() {
    int before = Torch.threads();
    try {
      Torch.threads(1);
      assertThat(Torch.threads()).isEqualTo(1);
      assertThat(openblas.blas_get_num_threads()).isEqualTo(1);
    } finally {
      Torch.threads(before);
    }
    assertThatThrownBy(() -> Torch.threads(0)).hasMessageContaining("threads = 0");
  }

  @Test
  void sameSeedSameNumbers() {
    try (PointerScope scope = new PointerScope();
        Rng a = Rng.named(7, "noise");
        Rng b = Rng.named(7, "noise");
        Rng c = Rng.named(7, "order")) {
      float[] first = Tensors.floats(a.normal(5));
      assertThat(Tensors.floats(b.normal(5))).containsExactly(first);
      assertThat(Tensors.floats(c.normal(5))).isNotEqualTo(first);
      Tensor state = a.state();
      float[] next = Tensors.floats(a.normal(5));
      a.state(state);
      assertThat(Tensors.floats(a.normal(5))).containsExactly(next);
    }
  }

  @Test
  void shapesNameWhatIsWrong() {
    try (PointerScope scope = new PointerScope()) {
      Tensor logits = Tensors.of(new float[6], 2, 3);
      Tensor labels = Tensors.labels(0, 1, 2);
      assertThatThrownBy(
              () -> Shapes.check().tensor("logits", logits, "N", "C").tensor("labels", labels, "N"))
          .hasMessageContaining("labels has shape [3]")
          .hasMessageContaining("N = 2 from logits");
    }
  }
}
