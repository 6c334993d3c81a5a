package org.outrigger.calibrate;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

/** A seeded split of labelled rows into folds that hold about as many rows of each class. */
@SuppressWarnings("ArrayRecordComponent")
record Folds(int[] fold, int count) {
  /**
   * @param labels int64 [N]
   * @param count at least 2 and at most N
   */
  static Folds of(Tensor labels, int count, long seed) {
    int[] classes = Tensors.ints(labels);
    if (classes.length < count) {
      throw new OutriggerException(
          classes.length
              + " rows cannot be split into "
              + count
              + " parts for cross-validation: give more held-out data.");
    }
    int[] shuffled;
    try (Rng rng = Rng.named(seed, "folds");
        PointerScope scope = new PointerScope()) {
      shuffled = Tensors.ints(rng.permutation(classes.length));
    }
    int[] byClass =
        Arrays.stream(shuffled)
            .boxed()
            .sorted(java.util.Comparator.comparingInt(row -> classes[row]))
            .mapToInt(Integer::intValue)
            .toArray();
    int[] fold = new int[classes.length];
    for (int i = 0; i < byClass.length; i++) {
      fold[byClass[i]] = i % count;
    }
    return new Folds(fold, count);
  }

  /** The rows outside of a fold, int64. */
  Tensor training(int held) {
    return rows(i -> fold[i] != held);
  }

  /** The rows of a fold, int64. */
  Tensor held(int held) {
    return rows(i -> fold[i] == held);
  }

  private Tensor rows(java.util.function.IntPredicate which) {
    long[] rows = IntStream.range(0, fold.length).filter(which).asLongStream().toArray();
    return Tensors.of(rows, rows.length);
  }
}
