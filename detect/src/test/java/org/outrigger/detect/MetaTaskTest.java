package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** The tasks that MOL learns from. */
class MetaTaskTest {
  @Test
  void tasksThatDoNotFitAreRefused() {
    Scopes.run(
        () -> {
          try (NeuralModel model = MolTest.mlp(5);
              TensorDataset known = MolTest.blobs(12, 1);
              TensorDataset outliers = MolTest.middle(5, 2);
              Mol mol = new Mol(MolTest.settings())) {
            mol.attach(model);
            Batch support = known.read(new int[] {0, 1, 2});
            Batch query = known.read(new int[] {3, 2});
            assertThatThrownBy(() -> MetaTask.of("t", support, query, null))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("share 1 rows")
                .hasMessageContaining("'2'");
            Batch other = known.read(new int[] {3, 4});
            MetaTask fine = MetaTask.of("t", support, other, null);
            assertThat(mol.train(rng -> fine, 1, step -> {}).activeOut()).isZero();
            float[] before = MolTest.weights(mol, "initial");
            MetaTask oneClass =
                MetaTask.of("t", known.read(new int[] {0, 1}), other, outliers.inputs());
            MetaTask empty =
                new MetaTask(
                    "t",
                    support.inputs(),
                    Tensors.labels(0, 1, 2),
                    other.inputs().narrow(0, 0, 0),
                    Tensors.labels(),
                    null);
            MetaTask nothing = MetaTask.of("t", support, other, outliers.inputs().narrow(0, 0, 0));
            for (MetaTask bad : List.of(oneClass, empty, nothing)) {
              assertThatThrownBy(() -> mol.train(rng -> bad, 1, step -> {}))
                  .isInstanceOf(OutriggerException.class)
                  .hasMessageContaining("task t");
            }
            assertThat(MolTest.weights(mol, "initial")).isEqualTo(before);
            assertThatThrownBy(() -> new ShiftedTasks(known, outliers, MolTest.TRAINING, 2, 3, 4))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("4 rows of class 0");
            assertThatThrownBy(() -> new ShiftedTasks(known, outliers, List.of(), 1, 1, 1))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("no shift");
          }
        });
  }

  @Test
  void aTaskIsOneShiftOfKnownRowsAndOutliersWithoutASharedRow() {
    Scopes.run(
        () -> {
          try (TensorDataset known = MolTest.blobs(30, 1);
              TensorDataset outliers = MolTest.middle(7, 2);
              Rng rng = new Rng(3)) {
            Shift up = Shift.of("up", x -> x.add(new Scalar(100.0)));
            Shift down = Shift.of("down", x -> x.sub(new Scalar(100.0)));
            MetaTasks tasks = new ShiftedTasks(known, outliers, List.of(up, down), 2, 3, 9);
            int ups = 0;
            for (int i = 0; i < 40; i++) {
              MetaTask task = tasks.draw(rng);
              assertThat(Tensors.ints(task.supportLabels())).containsExactly(0, 0, 1, 1, 2, 2);
              assertThat(task.query().size(0)).isEqualTo(9);
              assertThat(task.outliers().size(0)).isEqualTo(7);
              double sign = task.name().equals("up") ? 1 : -1;
              ups += sign > 0 ? 1 : 0;
              for (Tensor part : List.of(task.support(), task.query(), task.outliers())) {
                assertThat(part.mul(new Scalar(sign)).min().item_double()).isGreaterThan(50);
              }
              Tensor pairs = task.support().unsqueeze(1).sub(task.query().unsqueeze(0));
              assertThat(pairs.abs().sum(2).min().item_double()).isGreaterThan(0);
            }
            assertThat(ups).isBetween(8, 32);
          }
        });
  }
}
