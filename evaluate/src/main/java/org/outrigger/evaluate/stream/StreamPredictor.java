package org.outrigger.evaluate.stream;

import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.model.Output;

/** What is led through a stream: a model, perhaps one that learns from what it predicts. */
public interface StreamPredictor {
  /**
   * Predicts a batch, and learns from it if it does.
   *
   * @param inputs [N, ...]
   * @return logits [N, C], or what takes their place; the caller owns it
   */
  Output predict(Tensor inputs);

  /** Back to how it was before the stream. */
  void reset();

  /**
   * A predictor of these two.
   *
   * <pre>{@code
   * StreamPredictor.of(adapter::adapt, adapter::reset)
   * }</pre>
   */
  static StreamPredictor of(Function<Tensor, Output> predict, Runnable reset) {
    return new StreamPredictor() {
      @Override
      public Output predict(Tensor inputs) {
        return predict.apply(inputs);
      }

      @Override
      public void reset() {
        reset.run();
      }
    };
  }

  /** A model that does not learn, such as {@code frozen(model::forward)}. */
  static StreamPredictor frozen(Function<Tensor, Output> predict) {
    return of(predict, () -> {});
  }
}
