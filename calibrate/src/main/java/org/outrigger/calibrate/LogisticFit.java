package org.outrigger.calibrate;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/** Logistic regression of 0/1 outcomes on a few features, by maximum likelihood. */
final class LogisticFit {
  private LogisticFit() {}

  /**
   * Mean negative log-likelihood, a scalar.
   *
   * @param features float64 [N, D]
   * @param outcomes float64 [N], 0 or 1
   * @param weights [D]
   */
  static Tensor objective(Tensor features, Tensor outcomes, Tensor weights) {
    return Scopes.tensor(
        () -> {
          Tensor score = features.mv(weights);
          return torch.softplus(score).sub(outcomes.mul(score)).mean();
        });
  }

  /**
   * The weights [D] of the smallest objective. Outcomes that the features separate without error
   * have no smallest one: the search ends where the slope is within 1e-8.
   */
  static Tensor fit(String who, Tensor features, Tensor outcomes, Tensor start) {
    return Scopes.tensor(
        () -> ConvexFit.minimise(who, start, w -> objective(features, outcomes, w)));
  }

  /** log p and log(1 - p) of clipped probabilities. */
  static Tensor[] logs(Tensor p) {
    Tensor clipped = OneVersusRest.clipped(p);
    return new Tensor[] {clipped.log(), clipped.neg().add(new Scalar(1.0)).log()};
  }
}
