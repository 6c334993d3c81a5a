package org.outrigger.claims.adapt;

import java.util.Arrays;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;

/** Which rows of a stream an adapter predicts right, each before it learns from the next batch. */
final class FollowedStream {
  private FollowedStream() {}

  /**
   * Follows the rows of {@code stream} in their order.
   *
   * @param adapter started
   * @return 1 where the prediction is right, else 0, [N]
   */
  static int[] right(Adapter adapter, IndexedDataset stream, int batchSize) {
    int[] right = new int[Math.toIntExact(stream.size())];
    int at = 0;
    try (Batches batches = stream.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next();
            Output output = adapter.adapt(batch.inputs())) {
          Tensor labels = Objects.requireNonNull(batch.labels());
          int[] hits = Tensors.ints(output.logits().argmax(new LongOptional(1), false).eq(labels));
          System.arraycopy(hits, 0, right, at, hits.length);
          at += hits.length;
        }
      }
    }
    return right;
  }

  /**
   * The accuracy of a stack of adapters over a stream that it starts fresh on.
   *
   * @param stack as {@link Adapters#parse} reads it
   * @param source what the model was trained on
   */
  static double accuracy(
      String stack,
      NeuralModel model,
      IndexedDataset source,
      IndexedDataset stream,
      int batchSize) {
    try (Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, source);
      return mean(right(adapter, stream, batchSize));
    }
  }

  /** The mean of some values. */
  static double mean(int[] values) {
    return Arrays.stream(values).average().orElseThrow();
  }
}
