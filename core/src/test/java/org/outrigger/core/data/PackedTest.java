package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class PackedTest {
  private static TensorDataset pictures(List<String> ids, int... labels) {
    float[] values = new float[4 * labels.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    return TensorDataset.builder(Tensors.of(values, labels.length, 1, 2, 2))
        .labels(Tensors.labels(labels))
        .ids(ids)
        .build();
  }

  private static TensorDataset sounds(List<String> ids, float... values) {
    return TensorDataset.builder(Tensors.of(values, values.length, 1)).ids(ids).build();
  }

  private static IndexedDataset pack(IndexedDataset first, IndexedDataset second) {
    Map<String, IndexedDataset> parts = new LinkedHashMap<>();
    parts.put("picture", first);
    parts.put("sound", second);
    return IndexedDataset.pack(parts);
  }

  @Test
  void valuesLieSideBySideWithTheLabelsOfOne() {
    try (PointerScope scope = new PointerScope();
        TensorDataset pictures = pictures(List.of("a.png", "b.png", "c.png"), 0, 1, -1);
        TensorDataset sounds = sounds(List.of("a.wav", "b.wav", "c.wav"), 7, 8, 9)) {
      IndexedDataset packed = pack(pictures, sounds);
      assertThat(packed.inputShape()).containsExactly(5);
      assertThat(packed.labels()).containsExactly(0, 1, -1);
      Batch batch = packed.read(new int[] {2, 0});
      assertThat(Tensors.floats(batch.inputs())).containsExactly(8, 9, 10, 11, 9, 0, 1, 2, 3, 7);
      assertThat(Tensors.ints(java.util.Objects.requireNonNull(batch.labels())))
          .containsExactly(-1, 0);
      assertThat(batch.ids()).containsExactly("c.png", "a.png");
      assertThat(pack(sounds, pictures).labels()).containsExactly(0, 1, -1);
    }
  }

  @Test
  void rowsThatAreNotTheSameAreRefused() {
    try (PointerScope scope = new PointerScope();
        TensorDataset pictures = pictures(List.of("a.png", "b.png"), 0, 1);
        TensorDataset other = pictures(List.of("a.png", "b.png"), 0, 2);
        TensorDataset fewer = pictures(List.of("a.png"), 0);
        TensorDataset swapped = sounds(List.of("b.wav", "a.wav"), 1, 2)) {
      assertThatThrownBy(() -> pack(pictures, fewer)).hasMessageContaining("1 rows", "has 2");
      assertThatThrownBy(() -> pack(pictures, other)).hasMessageContaining("from row 1 on");
      assertThatThrownBy(() -> pack(pictures, swapped).read(new int[] {0}))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("'b.wav'")
          .hasMessageContaining("same order");
      assertThatThrownBy(() -> IndexedDataset.pack(Map.of("one", pictures)))
          .hasMessageContaining("two or more");
    }
  }

  @Test
  void aRowWithoutOneOfItsModalitiesIsLeftOutOfWalks() {
    try (PointerScope scope = new PointerScope();
        TensorDataset pictures = pictures(List.of("a", "b", "c"), 0, 1, 2);
        TensorDataset sounds = sounds(List.of("a", "b", "c"), 1, Float.NaN, 3)) {
      IndexedDataset packed = pack(pictures, sounds);
      try (Batches batches = packed.batches(2)) {
        Tensor inputs = batches.next().inputs();
        while (batches.hasNext()) {
          batches.next();
        }
        assertThat(inputs.isfinite().all().item_bool()).isTrue();
        assertThat(batches.skipped()).hasSize(1);
        assertThat(batches.skipped().get(0).id()).isEqualTo("b");
        assertThat(batches.skipped().get(0).reason()).contains("'sound'");
      }
      try (Batches strict = packed.strict().batches(3)) {
        assertThatThrownBy(strict::next).hasMessageContaining("'sound'");
      }
    }
  }
}
