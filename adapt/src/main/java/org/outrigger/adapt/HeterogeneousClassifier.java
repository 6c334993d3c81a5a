package org.outrigger.adapt;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.torch.Scopes;

/** A classifier of target rows that was fitted on {@link HeterogeneousData} or a part of it. */
public interface HeterogeneousClassifier extends AutoCloseable {
  /**
   * The probabilities of the classes.
   *
   * @param x target rows [N, T], as they were when it was fitted
   * @return [N, C]; belongs to the enclosing scope or the caller
   * @throws org.outrigger.core.OutriggerException if it was not fitted or the rows do not fit
   */
  Tensor probabilities(Tensor x);

  /** The most probable classes, int64 [N]. */
  default Tensor predict(Tensor x) {
    return Scopes.tensor(() -> probabilities(x).argmax(new LongOptional(1), false));
  }

  /**
   * The share of rows whose most probable class is the true one.
   *
   * @param labels int64 [N]
   */
  default double accuracy(Tensor x, Tensor labels) {
    return Scopes.scoped(() -> Accuracy.of(probabilities(x), labels));
  }

  @Override
  void close();
}
