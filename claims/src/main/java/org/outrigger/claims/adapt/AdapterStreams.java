package org.outrigger.claims.adapt;

import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.evaluate.stream.StreamBatch;
import org.outrigger.evaluate.stream.StreamEvaluation;
import org.outrigger.evaluate.stream.StreamPredictor;
import org.outrigger.evaluate.stream.StreamReport;
import org.outrigger.evaluate.stream.TestStream;

/** Leads stacks of adapters, by name, through streams. */
final class AdapterStreams {
  private AdapterStreams() {}

  /**
   * Runs a fresh stack through a stream.
   *
   * @param stack as {@link Adapters#parse} reads it
   * @param known source data for methods that want some; null for none
   */
  static StreamReport run(
      String stack, Model source, @Nullable IndexedDataset known, TestStream stream) {
    return run(stack, source, known, stream, (batch, output) -> {});
  }

  /** The same, with someone who sees every batch and its predictions. */
  static StreamReport run(
      String stack,
      Model source,
      @Nullable IndexedDataset known,
      TestStream stream,
      BiConsumer<StreamBatch, Output> observer) {
    try (Adapter adapter = Adapters.parse(stack)) {
      adapter.start(source, known);
      return StreamEvaluation.of(stream)
          .observe(observer)
          .run(StreamPredictor.of(adapter::adapt, adapter::reset));
    }
  }
}
