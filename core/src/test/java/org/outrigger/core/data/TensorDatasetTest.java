package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.torch.Tensors;

class TensorDatasetTest {
  @Test
  void readsRowsInAnyOrderWithLabelsIdsAndTimes() {
    TensorDataset data;
    try (PointerScope scope = new PointerScope()) {
      data =
          TensorDataset.builder(Tensors.of(new float[] {0, 1, 2, 3, 4, 5}, 3, 2))
              .labels(Tensors.labels(1, -1, 0))
              .ids(List.of("a", "b", "c"))
              .times(List.of("x", "y", "z"))
              .classNames(List.of("cat", "dog"))
              .build();
    }
    try (data;
        Batch batch = data.read(new int[] {2, 0, 2})) {
      assertThat(Tensors.floats(batch.inputs())).containsExactly(4, 5, 0, 1, 4, 5);
      assertThat(Tensors.ints(batch.labels())).containsExactly(0, 1, 0);
      assertThat(batch.ids()).containsExactly("c", "a", "c");
      assertThat(batch.times()).containsExactly("z", "x", "z");
      assertThat(data.inputShape()).containsExactly(2);
      // A batch is a copy, whether its rows follow each other or not.
      try (Batch run = data.read(new int[] {0, 1})) {
        run.inputs().zero_();
      }
      try (Batch run = data.read(new int[] {0, 1})) {
        assertThat(Tensors.floats(run.inputs())).containsExactly(0, 1, 2, 3);
      }
    }
  }

  @Test
  void bytesAreReadAsTheyAreOrScaled() {
    try (PointerScope scope = new PointerScope()) {
      Tensor bytes =
          Tensors.of(ByteBuffer.wrap(new byte[] {0, (byte) 255, 51, 102}), ScalarType.Byte, 2, 2);
      try (TensorDataset plain = TensorDataset.of(bytes, null);
          TensorDataset scaled = TensorDataset.builder(bytes).scaleBytes(true).build()) {
        assertThat(Tensors.floats(plain.read(new int[] {0, 1}).inputs()))
            .containsExactly(0, 255, 51, 102);
        assertThat(Tensors.floats(scaled.read(new int[] {1, 0}).inputs()))
            .containsExactly(0.2f, 0.4f, 0, 1);
        assertThat(Tensors.floats(scaled.read(new int[] {0, 1}).inputs()))
            .containsExactly(0, 1, 0.2f, 0.4f);
      }
    }
  }

  @Test
  void rowsThatAreNotFiniteAreSkippedByName() {
    try (PointerScope scope = new PointerScope();
        TensorDataset data =
            TensorDataset.builder(
                    Tensors.of(new float[] {0, 1, Float.NaN, 3, 4, Float.POSITIVE_INFINITY}, 3, 2))
                .skipNotFinite(true)
                .build();
        Batches walk = data.batches(3)) {
      assertThat(walk.next().ids()).containsExactly("0");
      assertThat(walk.skipped()).extracting(Batches.Skipped::id).containsExactly("1", "2");
      assertThatThrownBy(() -> TensorDataset.copyOf(data.strict())).hasMessageContaining("'1'");
    }
  }

  @Test
  void aCopyHoldsAllRows() {
    try (TensorDataset data = SplitsTest.rows(2500, 3);
        TensorDataset copy = TensorDataset.copyOf(data.shuffled(1))) {
      assertThat(copy.classNames()).isEqualTo(data.classNames());
      assertThat(SplitsTest.values(copy)).containsExactly(SplitsTest.values(data.shuffled(1)));
      assertThat(copy.labels()).containsExactly(data.shuffled(1).labels());
    }
  }

  @Test
  void partsThatDoNotFitAreErrors() {
    try (PointerScope scope = new PointerScope()) {
      Tensor rows = Tensors.of(new float[6], 3, 2);
      assertThatThrownBy(() -> TensorDataset.of(Tensors.of(new float[3], 3), null))
          .hasMessageContaining("[N, C, H, W]");
      assertThatThrownBy(() -> TensorDataset.of(rows, Tensors.labels(0, 1)))
          .hasMessageContaining("N = 3");
      assertThatThrownBy(() -> TensorDataset.of(rows, Tensors.of(new float[3], 3)))
          .hasMessageContaining("whole numbers");
      assertThatThrownBy(
              () ->
                  TensorDataset.builder(rows)
                      .classNames(List.of("only"))
                      .labels(Tensors.labels(0, 1, 0))
                      .build())
          .hasMessageContaining("go up to 1");
      assertThatThrownBy(() -> TensorDataset.builder(rows).ids(List.of("a")).build())
          .hasMessageContaining("1 ids");
    }
  }
}
