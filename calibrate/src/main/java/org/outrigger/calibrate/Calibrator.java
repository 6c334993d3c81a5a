package org.outrigger.calibrate;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Maps logits to probabilities that mean what they say; fitted on held-out data. */
public interface Calibrator extends Method, Stateful, AutoCloseable {
  /**
   * Fits on held-out known data.
   *
   * @param logits [N, C]
   * @param labels int64 [N], in 0 .. C-1
   * @throws org.outrigger.core.OutriggerException on bad input; nothing has changed then
   */
  void fit(Tensor logits, Tensor labels);

  /** Whether it can be used: it is fitted or needs no fitting. */
  boolean fitted();

  /**
   * Calibrated probabilities; rows sum to one.
   *
   * @param logits [N, C]
   * @return [N, C], owned by the enclosing scope or the caller
   */
  Tensor probabilities(Tensor logits);

  /**
   * The calibrated probability of each row's predicted class, from logits that are in Java already:
   * a fast path for small batches. The default goes through {@link #probabilities}.
   *
   * @param logits [N, C] in row-major order
   * @param classes C
   * @param predicted the predicted class of each row, [N]
   * @return [N]
   */
  default double[] confidences(float[] logits, int classes, int[] predicted) {
    return Scopes.scoped(
        () -> {
          double[] all =
              Tensors.doubles(probabilities(Tensors.of(logits, predicted.length, classes)));
          double[] top = new double[predicted.length];
          for (int i = 0; i < top.length; i++) {
            top[i] = all[i * classes + predicted[i]];
          }
          return top;
        });
  }

  @Override
  default void close() {}
}
