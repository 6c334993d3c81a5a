package org.outrigger.stream;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;

/**
 * Estimates the mix of classes of unlabelled data from a fixed model's predictions, taking the
 * inputs of every class to be what they were. Fitted on held-out source data; estimating is safe
 * for concurrent use then.
 */
public interface LabelShiftEstimator extends Method, Stateful {
  /**
   * Learns what predictions mean.
   *
   * @param probabilities of held-out source rows, [N, C]
   * @param labels theirs, int64 [N]
   * @throws org.outrigger.core.OutriggerException if they cannot be used; nothing changes then
   */
  void fit(Tensor probabilities, Tensor labels);

  /** Whether it can estimate. */
  boolean fitted();

  /**
   * Estimates the mix of classes.
   *
   * @param probabilities of target rows, [M, C]
   */
  LabelShift estimate(Tensor probabilities);
}
