package org.outrigger.calibrate;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Method;

/**
 * Sets of labels that hold the true one with a promised probability. It is fitted on held-out data
 * that neither the model nor its calibrator has seen; the promise is about inputs that are
 * exchangeable with those, or, for predictors that take a {@linkplain #target target}, about inputs
 * that differ from them as the target does.
 */
public interface ConformalPredictor extends Method, Stateful, AutoCloseable {
  /**
   * Tells it, before the fit, which inputs it will be used on, for predictors that correct a shift.
   *
   * @param features [M, D], unlabelled
   * @throws OutriggerException if this predictor does not correct for inputs that shift
   */
  default void target(Tensor features) {
    throw new OutriggerException(
        card().name()
            + " does not correct for inputs that shift: use covariate-shift-conformal or"
            + " label-shift-conformal, or give no target.");
  }

  /**
   * As {@link #target(Tensor)}, with what the model says about these inputs, for predictors that
   * correct a shift of the class mix. Whoever has both calls this one.
   *
   * @param probabilities [M, C], calibrated as those of the fit will be
   * @param features [M, D], unlabelled; null if there are none
   * @throws OutriggerException if this predictor does not correct for inputs that shift
   */
  default void target(Tensor probabilities, @Nullable Tensor features) {
    if (features == null) {
      throw new OutriggerException(
          card().name() + " takes no target, or needs its features: give those of the model.");
    }
    target(features);
  }

  /**
   * Fits on held-out data.
   *
   * @param probabilities [N, C], rows that sum to one
   * @param labels int64 [N], in 0 .. C-1
   * @param features [N, D] of the same rows; only predictors that correct a shift need them
   * @throws OutriggerException on bad input; nothing has changed then
   */
  void fit(Tensor probabilities, Tensor labels, @Nullable Tensor features);

  /** Whether it can be used. */
  boolean fitted();

  /**
   * The label sets. A row's set does not depend on the batch it comes in.
   *
   * @param probabilities [N, C]
   * @param features [N, D] where the fit had them
   * @return bool [N, C], owned by the enclosing scope or the caller
   */
  Tensor sets(Tensor probabilities, @Nullable Tensor features);

  /** The promised probability that a set holds the true label, in (0, 1): 1 - alpha. */
  double coverage();

  /**
   * What is promised and under which condition, in one sentence for people, such as "90 % of the
   * sets hold the true label, on average over inputs like the 500 held-out ones".
   */
  String promise();

  @Override
  default void close() {}
}
