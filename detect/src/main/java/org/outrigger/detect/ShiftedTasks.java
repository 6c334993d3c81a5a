package org.outrigger.detect;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.ClassRows;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Tasks of one data set under a family of shifts: each task is one shift, drawn at random, of known
 * rows and outliers alike. Support and query rows are drawn anew for each task and never overlap.
 */
public final class ShiftedTasks implements MetaTasks {
  private final List<Shift> shifts;
  private final List<IndexedDataset> known;
  private final List<IndexedDataset> outliers;
  private final ClassRows rows;
  private final int support;
  private final int query;
  private final int outlierRows;

  /**
   * @param known labelled rows; those with a label below 0 are left out
   * @param outliers inputs of no class; null for tasks without
   * @param shifts the family, at least one
   * @param support rows of each class to adapt to, 1 or more
   * @param query other rows of each class, 1 or more
   * @param outlierRows outliers in a task, 1 or more; all where there are fewer
   * @throws OutriggerException if a class has fewer rows than a task needs
   */
  public ShiftedTasks(
      IndexedDataset known,
      @Nullable IndexedDataset outliers,
      List<Shift> shifts,
      int support,
      int query,
      int outlierRows) {
    HyperParameter.atLeast("support", support, 1);
    HyperParameter.atLeast("query", query, 1);
    HyperParameter.atLeast("outliers", outlierRows, 1);
    if (shifts.isEmpty()) {
      throw new OutriggerException(
          "There is no shift to make tasks of: give at least one, or Shift.none().");
    }
    if (outliers != null && outliers.size() < 1) {
      throw new OutriggerException(outliers.name() + " has no rows: give outliers or none at all.");
    }
    if (outliers != null && !Arrays.equals(outliers.inputShape(), known.inputShape())) {
      throw new OutriggerException(
          "The outliers of "
              + outliers.name()
              + " have shape "
              + Arrays.toString(outliers.inputShape())
              + ", but the known rows of "
              + known.name()
              + " have "
              + Arrays.toString(known.inputShape())
              + ": bring both to one.");
    }
    this.shifts = List.copyOf(shifts);
    this.rows = ClassRows.of(known, support + query);
    this.known = this.shifts.stream().map(shift -> shift.of(known)).toList();
    this.outliers =
        outliers == null
            ? List.of()
            : this.shifts.stream().map(shift -> shift.of(outliers)).toList();
    this.support = support;
    this.query = query;
    this.outlierRows = outlierRows;
  }

  /** The number of classes. */
  public int classes() {
    return rows.classes();
  }

  @Override
  public MetaTask draw(Rng rng) {
    int which = choice(shifts.size(), rng);
    List<int[]> parts = rows.draw(rng, support, query);
    Batch first = known.get(which).read(parts.get(0));
    Batch second = known.get(which).read(parts.get(1));
    Tensor strange = null;
    if (!outliers.isEmpty()) {
      IndexedDataset source = outliers.get(which);
      int[] order = Scopes.scoped(() -> Tensors.ints(rng.permutation(source.size())));
      strange = source.read(Arrays.copyOf(order, Math.min(order.length, outlierRows))).inputs();
    }
    return new MetaTask(
        shifts.get(which).name(),
        first.inputs(),
        Objects.requireNonNull(first.labels()),
        second.inputs(),
        Objects.requireNonNull(second.labels()),
        strange);
  }

  /** One of {@code n}, each as likely as the others. */
  static int choice(int n, Rng rng) {
    double uniform = Scopes.scoped(() -> rng.uniform(ScalarType.Double, 1).item_double());
    return (int) (uniform * n);
  }
}
