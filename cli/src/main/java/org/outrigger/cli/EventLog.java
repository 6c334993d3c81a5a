package org.outrigger.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.DriftingClicks;

/**
 * Labelled events in the order of time.
 *
 * @param inputs float32 [N, F]
 * @param labels float64 [N], 0 or 1
 * @param ids how many different ids each column has; empty if inputs are left as they are
 */
record EventLog(String name, Tensor inputs, Tensor labels, List<Integer> ids)
    implements AutoCloseable {
  private static final int SIMULATED = 20_000;

  /** Clicks with a drift right after the share that is trained on. */
  static EventLog simulated(double train, long seed) {
    int known = (int) Math.round(SIMULATED * train);
    try (TensorDataset before = DriftingClicks.before(known, seed);
        TensorDataset after = DriftingClicks.after(SIMULATED - known, seed)) {
      return Scopes.scoped(
          () ->
              new EventLog(
                  "Made-up clicks",
                  Scopes.own(torch.cat(new TensorVector(before.inputs(), after.inputs()), 0)),
                  Scopes.own(
                      torch
                          .cat(
                              new TensorVector(
                                  Tensors.labels(before.labels()), Tensors.labels(after.labels())),
                              0)
                          .to(ScalarType.Double)),
                  List.of(DriftingClicks.USERS, DriftingClicks.ITEMS)));
    }
  }

  /**
   * A table in memory, sorted by its times if it has any.
   *
   * @param number whether the ids of each column are numbered from 0
   */
  static EventLog open(IndexedDataset rows, boolean number) {
    if (!rows.labelled()) {
      throw new OutriggerException(
          rows.name() + " has no labels: name the column of 0 and 1 with --label.");
    }
    if (Arrays.stream(rows.labels()).anyMatch(label -> label != 0 && label != 1)) {
      throw new OutriggerException(
          rows.name()
              + " has other labels than 0 and 1: name the column that says whether an event was"
              + " positive with --label.");
    }
    return Scopes.scoped(
        () -> {
          int[] all = IntStream.range(0, Math.toIntExact(rows.size())).toArray();
          Batch batch = rows.read(all);
          Tensor order = Tensors.of(order(batch.times(), all.length), all.length);
          Tensor inputs = batch.inputs().index_select(0, order);
          Tensor labels =
              Tensors.labels(rows.labels()).index_select(0, order).to(ScalarType.Double);
          List<Integer> ids = new ArrayList<>();
          if (number) {
            List<Tensor> columns = new ArrayList<>();
            for (long f = 0; f < inputs.size(1); f++) {
              Tensor column = inputs.select(1, f).contiguous();
              Tensor known = torch.unique_consecutive(column.sort().get0()).get0();
              ids.add(Math.toIntExact(known.numel()));
              columns.add(torch.bucketize(column, known));
            }
            inputs =
                torch
                    .stack(new TensorVector(columns.toArray(new Tensor[0])), 1)
                    .to(ScalarType.Float);
          }
          return new EventLog(
              rows.name(), Scopes.own(inputs), Scopes.own(labels), List.copyOf(ids));
        });
  }

  /** The rows by time; numbers as numbers, others as text, in which ISO times sort. */
  private static long[] order(List<String> times, int rows) {
    Comparator<Integer> earlier;
    if (times.isEmpty()) {
      earlier = Comparator.naturalOrder();
    } else if (times.stream().allMatch(t -> t.matches("[-+]?\\d+(\\.\\d+)?([eE][-+]?\\d+)?"))) {
      double[] numbers = times.stream().mapToDouble(Double::parseDouble).toArray();
      earlier = Comparator.comparingDouble(row -> numbers[row]);
    } else {
      earlier = Comparator.comparing(times::get);
    }
    Integer[] order = IntStream.range(0, rows).boxed().toArray(Integer[]::new);
    Arrays.sort(order, earlier);
    return Arrays.stream(order).mapToLong(Integer::longValue).toArray();
  }

  long size() {
    return inputs.size(0);
  }

  @Override
  public void close() {
    Scopes.release(inputs);
    Scopes.release(labels);
  }
}
