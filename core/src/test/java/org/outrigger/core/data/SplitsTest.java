package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class SplitsTest {
  /** Row i holds the value i; its label is i modulo the number of classes. */
  static TensorDataset rows(int n, int classes) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = i;
    }
    try (Tensor inputs = Tensors.of(values, n, 1);
        Tensor labels = Tensors.labels(IntStream.range(0, n).map(i -> i % classes).toArray())) {
      return TensorDataset.builder(inputs)
          .labels(labels)
          .classNames(IntStream.range(0, classes).mapToObj(c -> "class" + c).toList())
          .name("rows")
          .build();
    }
  }

  static int[] values(IndexedDataset data) {
    int[] values = new int[(int) data.size()];
    int at = 0;
    try (Batches walk = data.batches(7)) {
      while (walk.hasNext()) {
        try (Batch batch = walk.next()) {
          for (float value : Tensors.floats(batch.inputs())) {
            values[at++] = (int) value;
          }
        }
      }
    }
    return Arrays.copyOf(values, at);
  }

  @Property(tries = 40)
  void shufflingIsAPermutationThatTheSeedFixes(
      @ForAll @IntRange(min = 1, max = 60) int n, @ForAll long seed) {
    try (TensorDataset data = rows(n, 3)) {
      int[] shuffled = values(data.shuffled(seed));
      assertThat(shuffled).containsExactlyInAnyOrder(IntStream.range(0, n).toArray());
      assertThat(values(data.shuffled(seed))).containsExactly(shuffled);
    }
  }

  @Property(tries = 40)
  void aSplitHasTheShareAskedForAndLosesNoRow(
      @ForAll @IntRange(min = 2, max = 80) int n,
      @ForAll @DoubleRange(min = 0.05, max = 0.95) double fraction,
      @ForAll long seed) {
    try (TensorDataset data = rows(n, 3)) {
      Splits parts = data.split(fraction, seed);
      assertThat((double) parts.first().size())
          .isBetween(Math.max(1, fraction * n - 1), Math.min(n - 1, fraction * n + 1) + 0.5);
      assertThat(
              IntStream.concat(
                  IntStream.of(values(parts.first())), IntStream.of(values(parts.second()))))
          .containsExactlyInAnyOrderElementsOf(IntStream.range(0, n).boxed().toList());
    }
  }

  @Property(tries = 40)
  void aStratifiedSplitHasTheShareInEachClass(
      @ForAll @IntRange(min = 12, max = 90) int n,
      @ForAll @IntRange(min = 1, max = 4) int classes,
      @ForAll @DoubleRange(min = 0.1, max = 0.9) double fraction,
      @ForAll long seed) {
    try (TensorDataset data = rows(n, classes)) {
      Splits parts = data.splitStratified(fraction, seed);
      assertThat(parts.first().size() + parts.second().size()).isEqualTo(n);
      assertThat(Math.abs(parts.first().size() - fraction * n)).isLessThanOrEqualTo(1);
      for (int c = 0; c < classes; c++) {
        int label = c;
        long whole = Arrays.stream(data.labels()).filter(l -> l == label).count();
        long part = Arrays.stream(parts.first().labels()).filter(l -> l == label).count();
        assertThat(Math.abs(part - fraction * whole)).isLessThanOrEqualTo(1);
      }
    }
  }

  @Test
  void keptClassesAreRelabelledAndTheOthersAreUnknown() {
    try (TensorDataset data = rows(9, 3)) {
      IndexedDataset kept = data.keepClasses(2, 0);
      assertThat(kept.classNames()).containsExactly("class2", "class0");
      assertThat(values(kept)).containsExactly(0, 2, 3, 5, 6, 8);
      assertThat(kept.labels()).containsExactly(1, 0, 1, 0, 1, 0);
      try (Batch batch = kept.read(new int[] {1, 0})) {
        assertThat(Tensors.ints(batch.labels())).containsExactly(0, 1);
        assertThat(batch.ids()).containsExactly("2", "0");
      }
      IndexedDataset unknown = data.onlyUnknown(1);
      assertThat(values(unknown)).containsExactly(1, 4, 7);
      assertThat(unknown.labels()).containsOnly(-1);
      assertThat(data.asUnknown().limit(2).labels()).containsExactly(-1, -1);
      assertThat(data.asUnknown().size()).isEqualTo(9);
    }
  }

  @Test
  void classesAndRowsThatDoNotExistAreErrors() {
    try (TensorDataset data = rows(9, 3);
        Tensor plain = Tensors.of(new float[4], 4, 1);
        TensorDataset unlabelled = TensorDataset.of(plain, null)) {
      assertThatThrownBy(() -> data.keepClasses(3)).hasMessageContaining("classes 0 to 2");
      assertThatThrownBy(() -> data.keepClasses(1, 1)).hasMessageContaining("twice");
      assertThatThrownBy(() -> data.onlyUnknown()).isInstanceOf(OutriggerException.class);
      assertThatThrownBy(() -> unlabelled.keepClasses(0)).hasMessageContaining("no labels");
      assertThatThrownBy(() -> unlabelled.splitStratified(0.5, 1))
          .hasMessageContaining("use split()");
      assertThatThrownBy(() -> data.subset(9)).hasMessageContaining("rows 0 to 8");
      assertThatThrownBy(() -> data.limit(0)).hasMessageContaining("out of range");
      assertThatThrownBy(() -> data.split(1, 0)).hasMessageContaining("below 1");
      assertThatThrownBy(() -> data.limit(1).split(0.5, 0)).hasMessageContaining("at least 2");
    }
  }

  @Test
  void concatenatedPartsReadAsOne() {
    try (TensorDataset a = rows(4, 2);
        TensorDataset b = rows(3, 2);
        Tensor wide = Tensors.of(new float[4], 2, 2);
        TensorDataset other = TensorDataset.of(wide, null)) {
      IndexedDataset both = IndexedDataset.concat(a, b.asUnknown());
      assertThat(values(both)).containsExactly(0, 1, 2, 3, 0, 1, 2);
      assertThat(both.labels()).containsExactly(0, 1, 0, 1, -1, -1, -1);
      assertThat(both.classNames()).isEqualTo(List.of("class0", "class1"));
      try (Batch batch = both.read(new int[] {6, 0, 1, 4})) {
        assertThat(Tensors.floats(batch.inputs())).containsExactly(2, 0, 1, 0);
        assertThat(Tensors.ints(batch.labels())).containsExactly(-1, 0, 1, -1);
        assertThat(batch.ids()).containsExactly("2", "0", "1", "0");
      }
      assertThatThrownBy(() -> IndexedDataset.concat(a, other))
          .hasMessageContaining("cannot be joined");
    }
  }
}
