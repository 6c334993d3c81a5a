package org.outrigger.claims.adapt;

import java.util.List;
import java.util.Objects;
import java.util.function.BiConsumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.Usage;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.evaluate.stream.StreamBatch;
import org.outrigger.evaluate.stream.StreamEvaluation;
import org.outrigger.evaluate.stream.StreamPredictor;
import org.outrigger.evaluate.stream.StreamProtocol;
import org.outrigger.evaluate.stream.StreamReport;
import org.outrigger.evaluate.stream.TestStream;

/**
 * What a stack of adapters did with a stream.
 *
 * @param report its predictions
 * @param usage what it learned from
 * @param clean accuracy on clean data afterwards, on batch statistics; NaN if there were none
 */
record AdapterRun(StreamReport report, Usage usage, double clean) {
  static final int BATCH = 64;

  /** The shifts one after the other, {@code rounds} times, without a new start. */
  static TestStream continual(IndexedDataset data, List<Shift> shifts, int rounds, long seed) {
    return StreamProtocol.parse("continual")
        .with(s -> s.withBatchSize(BATCH).withRounds(rounds).withSeed(seed))
        .over(data, shifts);
  }

  /** Each shift {@code passes} times, with a new start before each. */
  static TestStream eachShift(IndexedDataset data, List<Shift> shifts, int passes, long seed) {
    return StreamProtocol.parse("reset_each_shift")
        .with(s -> s.withBatchSize(BATCH).withPasses(passes).withSeed(seed))
        .over(data, shifts);
  }

  /**
   * Runs a stack that {@link Adapters#parse} reads.
   *
   * @param clean what it is measured on afterwards, or null
   * @param observer sees every batch with its predictions
   */
  static AdapterRun of(
      String stack,
      NeuralModel model,
      IndexedDataset source,
      TestStream stream,
      @Nullable IndexedDataset clean,
      BiConsumer<StreamBatch, Output> observer) {
    try (Adapter adapter = Adapters.parse(stack)) {
      adapter.start(model, source);
      StreamReport report =
          StreamEvaluation.of(stream)
              .observe(observer)
              .run(StreamPredictor.of(adapter::adapt, adapter::reset));
      double after =
          clean == null ? Double.NaN : accuracy((NeuralModel) adapter.model(), clean);
      return new AdapterRun(report, adapter.usage(), after);
    }
  }

  static AdapterRun of(
      String stack, NeuralModel model, IndexedDataset source, TestStream stream) {
    return of(stack, model, source, stream, null, (batch, output) -> {});
  }

  /** Accuracy on batches normalised by their own statistics, without learning from them. */
  private static double accuracy(NeuralModel model, IndexedDataset data) {
    double right = 0;
    try (Batches walk = data.batches(BATCH)) {
      while (walk.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = walk.next()) {
          right +=
              model
                  .forwardOnBatchStatistics(batch.inputs())
                  .logits()
                  .argmax(new LongOptional(1), false)
                  .eq(Objects.requireNonNull(batch.labels()))
                  .sum()
                  .item_double();
        }
      }
    }
    return right / data.size();
  }

  /** The share of rows that gradients were computed for. */
  double backwardShare() {
    return (double) usage.backward() / usage.samples();
  }
}
