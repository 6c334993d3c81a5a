package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class ShiftTest {
  private static TensorDataset zeros() {
    return Scopes.scoped(
        () -> TensorDataset.of(torch.zeros(6, 3), Tensors.labels(0, 1, 0, 1, 0, 1)));
  }

  private static float[] read(IndexedDataset data, int... rows) {
    return Scopes.scoped(() -> Tensors.floats(data.read(rows).inputs()));
  }

  @Test
  void aRandomShiftDrawsForEachRowByItsPosition() {
    Shift noise = Shift.random("noise", 7, (x, rng) -> x.add(rng.normal(x.shape())));
    try (TensorDataset data = zeros()) {
      IndexedDataset noisy = noise.of(data);
      float[] alone = read(noisy, 4);
      assertThat(read(noisy, 1, 4)).endsWith(alone).isNotEqualTo(read(noisy, 4, 4));
      assertThat(read(noisy, 4)).isEqualTo(alone);
      assertThat(
              read(Shift.random("noise", 8, (x, rng) -> x.add(rng.normal(x.shape()))).of(data), 4))
          .isNotEqualTo(alone);
      assertThat(noisy.labels()).isEqualTo(data.labels());
    }
  }

  @Test
  void aRandomShiftThatChangesTheShapeIsNamed() {
    Shift longer = Shift.random("longer", 0, (x, rng) -> rng.normal(1, 4));
    try (TensorDataset data = zeros()) {
      assertThatThrownBy(() -> read(longer.of(data), 0, 2))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("'longer'")
          .hasMessageContaining("must keep the shape");
    }
  }
}
