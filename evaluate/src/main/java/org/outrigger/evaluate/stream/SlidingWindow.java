package org.outrigger.evaluate.stream;

import java.util.function.Function;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Lets a method that needs batches predict a stream of single rows: every row is predicted together
 * with those before it, in a window that is written round and round; the method learns from the
 * window once in a round, when all of it is new. Marsden et al., "Universal Test-time Adaptation
 * through Weight Ensembling, Diversity Weighting, and Prior Correction", WACV 2024.
 */
public final class SlidingWindow implements StreamPredictor, AutoCloseable {
  private final int length;
  private final int least;
  private final Function<Tensor, Output> predict;
  private final StreamPredictor learner;
  private @Nullable Tensor window;
  private int rows;
  private int pointer;

  /**
   * @param length of the window, 1 or more
   * @param least rows that the method takes, 1 to {@code length}; until the window has as many, its
   *     rows are repeated
   * @param predict predicts a batch without learning from it, as the model is at that moment
   * @param learner predicts a batch and learns from it; reset with the window
   */
  public SlidingWindow(
      int length, int least, Function<Tensor, Output> predict, StreamPredictor learner) {
    HyperParameter.atLeast("length", length, 1);
    HyperParameter.require(
        least >= 1 && least <= length, "least", least, "1 to length = " + length);
    this.length = length;
    this.least = least;
    this.predict = predict;
    this.learner = learner;
  }

  /**
   * Predicts one row.
   *
   * @param inputs [1, ...]
   */
  @Override
  public Output predict(Tensor inputs) {
    if (inputs.size(0) != 1) {
      throw new OutriggerException(
          "A sliding window takes one row at a time, not "
              + inputs.size(0)
              + ": use a stream with batchSize = 1.");
    }
    return Scopes.scoped(
        () -> {
          Tensor all = window(inputs);
          int filled = Math.min(length, rows + 1);
          all.narrow(0, pointer, 1).copy_(inputs);
          int[] shown = IntStream.range(0, Math.max(least, filled)).map(i -> i % filled).toArray();
          Tensor batch = all.index_select(0, Tensors.labels(shown));
          Output output = pointer == length - 1 ? learner.predict(batch) : predict.apply(batch);
          Output row =
              new Output(
                  row(output.logits()), output.hasFeatures() ? row(output.features()) : null);
          rows = filled;
          pointer = (pointer + 1) % length;
          return row;
        });
  }

  private Tensor window(Tensor inputs) {
    Tensor current = window;
    if (current == null) {
      long[] shape = inputs.shape();
      shape[0] = length;
      current = Scopes.own(torch.zeros(shape, inputs.options()));
      window = current;
    }
    return current;
  }

  /** That of the newest row, for the caller. */
  private Tensor row(Tensor values) {
    return Scopes.keep(values.narrow(0, pointer, 1).clone());
  }

  @Override
  public void reset() {
    close();
    learner.reset();
  }

  /** Forgets the window. */
  @Override
  public void close() {
    Scopes.release(window);
    window = null;
    rows = 0;
    pointer = 0;
  }
}
