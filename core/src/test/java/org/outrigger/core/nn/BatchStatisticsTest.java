package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Batch normalisation by the statistics of the batch at hand, in evaluation. */
class BatchStatisticsTest {
  private PointerScope scope;
  private Rng rng;
  private BatchNorm2d norm;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(5);
    norm = new BatchNorm2d(3);
    Scopes.grad(
        false,
        () -> {
          norm.tensor("weight").copy_(rng.normal(3));
          norm.tensor("bias").copy_(rng.normal(3));
          return norm.tensor("running_mean").copy_(rng.normal(3));
        });
    norm.train(false);
  }

  @AfterEach
  void close() {
    norm.close();
    rng.close();
    scope.close();
  }

  private float[] run(Tensor x, boolean gradients) {
    return Tensors.floats(
        Scopes.grad(gradients, () -> norm.forward(x, ForwardContext.BATCH_STATISTICS)).detach());
  }

  /** An offset that is large beside the deviation would cost digits in the quick way. */
  @ParameterizedTest
  @ValueSource(doubles = {0, 3, 20, 100, 3000})
  void theQuickWayGivesWhatLibtorchGives(double offset) {
    Tensor x = rng.normal(6, 3, 5, 4).add(new Scalar(offset));
    // In evaluation of a float32 deviation of 1 at 3000, libtorch itself keeps three digits.
    float tolerance = offset > 1000 ? 2e-3f : 2e-4f;
    assertThat(run(x, false)).containsExactly(run(x, true), within(tolerance));
  }

  @Test
  void constantMapsBecomeTheShift() {
    Tensor x = Tensors.of(new float[48], 4, 3, 2, 2).add(new Scalar(7.0));
    float[] y = run(x, false);
    float[] bias = Tensors.floats(norm.tensor("bias").detach());
    for (int i = 0; i < y.length; i++) {
      assertThat(y[i]).isEqualTo(bias[i / 4 % 3], within(1e-4f));
    }
  }

  @Test
  void runningStatisticsStayAsTheyAre() {
    float[] before = Tensors.floats(norm.tensor("running_mean"));
    run(rng.normal(6, 3, 5, 4), false);
    run(rng.normal(6, 3, 5, 4), true);
    assertThat(Tensors.floats(norm.tensor("running_mean"))).containsExactly(before);
    assertThat(norm.tensor("num_batches_tracked").item_long()).isZero();
  }

  @Test
  void aSingleRowTakesTheRunningStatisticsAndASinglePixelIsRefused() {
    try (BatchNorm1d rows = new BatchNorm1d(3)) {
      Tensor row = rng.normal(1, 3);
      float[] y =
          Scopes.grad(
              false, () -> Tensors.floats(rows.forward(row, ForwardContext.BATCH_STATISTICS)));
      assertThat(y).containsExactly(Tensors.floats(row), within(1e-4f));
    }
    assertThatThrownBy(() -> run(rng.normal(1, 3, 1, 1), false))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("more than one value");
  }
}
