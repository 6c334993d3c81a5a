package org.outrigger.evaluate.shift;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.shift.ShiftSequence.Curve;

class ShiftSequenceTest {
  private static final Shift PLUS_TEN = Shift.of("plus ten", x -> x.add(new Scalar(10.0)));

  /** Class 0 at (1, 0), class 1 at (0, 1); unknown rows at (0, 0). */
  private static TensorDataset known(int each) {
    return Scopes.scoped(
        () -> {
          int[] labels = new int[2 * each];
          for (int i = each; i < 2 * each; i++) {
            labels[i] = 1;
          }
          Tensor given = Tensors.labels(labels);
          return TensorDataset.of(torch.one_hot(given, 2).to(ScalarType.Float), given);
        });
  }

  private static TensorDataset unknown(int rows) {
    return Scopes.scoped(() -> TensorDataset.of(torch.zeros(rows, 2), null));
  }

  private static final Function<Tensor, Output> IDENTITY = x -> new Output(x, null);
  private static final Function<Output, Tensor> LOW_IS_STRANGE =
      output -> output.logits().sum(1).neg();

  @Test
  void everyStepIsAdaptedToBeforeItIsMeasuredUnderTheSameShift() {
    try (TensorDataset pool = known(5);
        TensorDataset test = known(20);
        TensorDataset strange = unknown(30)) {
      ShiftSequence sequence =
          new ShiftSequence(pool, test, strange, List.of(Shift.none(), PLUS_TEN), 2, 3);
      List<Double> seen = new ArrayList<>();
      double[] offset = {0};
      Curve curve =
          sequence.run(
              support -> {
                assertThat(Tensors.ints(support.labels())).containsExactly(0, 0, 1, 1);
                offset[0] = support.inputs().min().item_double();
                seen.add(offset[0]);
              },
              // Right and sure only where it has adapted to the shift at hand.
              x -> new Output(x.sub(new Scalar(offset[0])), null),
              output -> output.logits().sum(1).sub(new Scalar(1.0)).abs());
      assertThat(seen).containsExactly(0.0, 10.0);
      assertThat(curve.points())
          .extracting(ShiftSequence.Point::shift)
          .containsExactly("none", "plus ten");
      assertThat(curve.accuracy()).isEqualTo(1);
      assertThat(curve.auroc()).isEqualTo(1);
      assertThat(curve.fpr95()).isZero();
    }
  }

  @Test
  void meansAreOverTheStepsAndSupportSetsAreTheSameForEveryModel() {
    try (TensorDataset pool = known(50);
        TensorDataset test = known(20);
        TensorDataset strange = unknown(30)) {
      Shift swap = Shift.of("swap", x -> x.flip(1));
      ShiftSequence sequence =
          new ShiftSequence(pool, test, strange, List.of(Shift.none(), swap), 2, 3);
      List<List<String>> drawn = new ArrayList<>();
      Curve first = sequence.run(s -> drawn.add(s.ids()), IDENTITY, LOW_IS_STRANGE);
      Curve second = sequence.run(s -> drawn.add(s.ids()), IDENTITY, LOW_IS_STRANGE);
      assertThat(first).isEqualTo(second);
      assertThat(first.accuracy()).isEqualTo(0.5);
      assertThat(drawn.get(0)).isEqualTo(drawn.get(2)).isNotEqualTo(drawn.get(1));
    }
  }

  @Test
  void dataThatCannotBeMeasuredIsRefused() {
    try (TensorDataset pool = known(2);
        TensorDataset test = known(4);
        TensorDataset strange = unknown(3)) {
      List<Shift> shifts = List.of(Shift.none());
      assertThatThrownBy(() -> new ShiftSequence(pool, test, strange, List.of(), 1, 0))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("no shift");
      assertThatThrownBy(() -> new ShiftSequence(pool, test, strange, shifts, 3, 0))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("2 rows of class 0");
      assertThatThrownBy(() -> new ShiftSequence(pool, strange, strange, shifts, 1, 0))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("without labels");
      assertThatThrownBy(() -> new ShiftSequence(strange, test, strange, shifts, 1, 0))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("labelled");
    }
  }

  @Test
  void aQuarterTurnMovesEveryPixelToWhereItBelongs() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1)) {
            for (long[] shape : new long[][] {{2, 3, 5, 5}, {2, 1, 6, 6}}) {
              Tensor images = rng.uniform(ScalarType.Double, shape);
              Tensor turned = Rotation.rotate(images, 90);
              Tensor expected = torch.rot90(images, 1, 2, 3);
              assertThat(turned.sub(expected).abs().max().item_double())
                  .isCloseTo(0, within(1e-12));
              Tensor none = Rotation.rotate(images, 0);
              assertThat(none.sub(images).abs().max().item_double()).isCloseTo(0, within(1e-12));
            }
            Tensor wide = rng.uniform(ScalarType.Double, 1, 1, 4, 9);
            Tensor half = Rotation.rotate(wide, 180);
            assertThat(half.sub(wide.flip(2, 3)).abs().max().item_double())
                .isCloseTo(0, within(1e-12));
          }
        });
  }

  @Test
  void aShiftedViewKeepsLabelsAndIdsAndRefusesOtherShapes() {
    try (TensorDataset data = known(3)) {
      IndexedDataset view = PLUS_TEN.of(data);
      assertThat(view.labels()).isEqualTo(data.labels());
      assertThat(view.size()).isEqualTo(6);
      Scopes.run(
          () -> {
            Batch batch = view.read(new int[] {4, 0});
            assertThat(batch.ids()).containsExactly("4", "0");
            assertThat(Tensors.floats(batch.inputs())).containsExactly(10, 11, 11, 10);
          });
      assertThat(Rotation.range(0, 60, 30))
          .extracting(Shift::name)
          .containsExactly("rotation 0", "rotation 30", "rotation 60");
      IndexedDataset cut = Shift.of("cut", x -> x.narrow(1, 0, 1)).of(data);
      assertThatThrownBy(() -> cut.read(new int[] {0}))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("must keep the shape");
    }
  }
}
