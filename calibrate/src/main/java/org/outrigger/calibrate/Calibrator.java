package org.outrigger.calibrate;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;

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

  @Override
  default void close() {}
}
