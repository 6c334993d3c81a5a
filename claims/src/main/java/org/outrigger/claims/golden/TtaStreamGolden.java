package org.outrigger.claims.golden;

import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.stream.DirichletOrder;

/** Orders of a stream, from injected draws. */
final class TtaStreamGolden {
  private TtaStreamGolden() {}

  /** Whether the case is of this kind. */
  static boolean knows(GoldenCase golden) {
    return golden.hasInput("proportions") && golden.hasInput("class_order_per_chunk");
  }

  static void check(GoldenCase golden) {
    int[] labels = Tensors.ints(golden.labels("labels"));
    Tensor classOrder = golden.labels("class_order_per_chunk");
    int[][] classes =
        Arrays.stream(Tensors.rows(classOrder))
            .map(row -> Arrays.stream(row).mapToInt(value -> (int) value).toArray())
            .toArray(int[][]::new);
    int[] order = DirichletOrder.order(labels, Tensors.rows(golden.input("proportions")), classes);
    golden.expect("order", Arrays.stream(order).asDoubleStream().toArray());
    golden.expect("ordered_labels", Arrays.stream(order).mapToDouble(i -> labels[i]).toArray());
  }
}
