package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Rows by class, and shifts. */
class ClassRowsTest {
  private static TensorDataset data(int... labels) {
    return Scopes.scoped(
        () -> {
          Tensor inputs = torch.arange(new Scalar((double) labels.length)).unsqueeze(1);
          return TensorDataset.of(inputs, Tensors.labels(labels));
        });
  }

  @Test
  void partsHaveAsManyRowsOfEachClassAndShareNone() {
    int[] labels = IntStream.range(0, 40).map(i -> i % 4 - 1).toArray();
    try (TensorDataset data = data(labels);
        Rng rng = new Rng(3)) {
      ClassRows rows = ClassRows.of(data, 10);
      assertThat(rows.classes()).isEqualTo(3);
      List<int[]> parts = rows.draw(rng, 2, 5);
      assertThat(Arrays.stream(parts.get(0)).map(data::label)).containsExactly(0, 0, 1, 1, 2, 2);
      assertThat(parts.get(1)).hasSize(15);
      assertThat(parts.stream().flatMapToInt(Arrays::stream).distinct().count()).isEqualTo(21);
      List<int[]> all = rows.draw(rng, 10);
      assertThat(all.get(0)).hasSize(30).doesNotHaveDuplicates();
      assertThat(rows.draw(rng, 2).get(0)).isNotEqualTo(rows.draw(rng, 2).get(0));
      assertThatThrownBy(() -> rows.draw(rng, 6, 5))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("fewer than 11");
    }
  }

  @Test
  void aClassWithTooFewRowsOrNoneIsNamed() {
    try (TensorDataset gap = data(0, 0, 2, 2);
        TensorDataset unknown = data(-1, -1);
        TensorDataset unlabelled = TensorDataset.of(gap.inputs(), null)) {
      assertThatThrownBy(() -> ClassRows.of(gap, 1))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("0 rows of class 1");
      for (TensorDataset none : List.of(unknown, unlabelled)) {
        assertThatThrownBy(() -> ClassRows.of(none, 1))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("no row of a known class");
      }
    }
  }

  @Test
  void aShiftChangesInputsAloneOnEveryWay() {
    Shift twice = Shift.of("twice", x -> x.mul(new Scalar(2.0)));
    try (TensorDataset data = data(1, 0, -1)) {
      IndexedDataset view = twice.of(data);
      assertThat(view.name()).isEqualTo(data.name() + " + twice");
      assertThat(view.labels()).containsExactly(1, 0, -1);
      Scopes.run(
          () -> {
            Batch read = view.read(new int[] {2, 1});
            assertThat(Tensors.floats(read.inputs())).containsExactly(4, 2);
            assertThat(read.ids()).containsExactly("2", "1");
            assertThat(Tensors.ints(read.labels())).containsExactly(-1, 0);
            try (Batches walk = view.subset(1, 2).batches(5)) {
              assertThat(Tensors.floats(walk.next().inputs())).containsExactly(2, 4);
            }
            // The data itself stays.
            assertThat(Tensors.floats(data.inputs())).containsExactly(0, 1, 2);
          });
      assertThat(Shift.none().of(data)).isSameAs(data);
      IndexedDataset wrong = Shift.of("cut", x -> x.narrow(0, 0, 1)).of(data);
      assertThatThrownBy(() -> wrong.read(new int[] {0, 1}))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("must keep the shape");
    }
  }
}
