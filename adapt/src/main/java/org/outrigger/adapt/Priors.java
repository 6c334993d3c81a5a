package org.outrigger.adapt;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/** Class priors of a batch and what corrects predictions by them; see ROID. */
final class Priors {
  private Priors() {}

  /**
   * The mean prediction, drawn towards an even one: (prior + s) / (1 + s C) with s = max(1/N, 1/C) /
   * max(prior).
   *
   * @param prior mean probabilities [C]
   * @param rows N of the batch
   */
  static Tensor smoothed(Tensor prior, long rows) {
    return Scopes.tensor(
        () -> {
          long classes = prior.size(0);
          Tensor s =
              prior.amax().reciprocal().mul(new Scalar(Math.max(1.0 / rows, 1.0 / classes)));
          return prior.add(s).div(s.mul(new Scalar((double) classes)).add(new Scalar(1.0)));
        });
  }

  /** Log-probabilities proportional to softmax(logits) times the prior, [N, C]. */
  static Tensor correctedProbabilities(Tensor logits, Tensor prior) {
    return Scopes.tensor(
        () -> torch.log_softmax(torch.log_softmax(logits, 1).add(prior.log()), 1));
  }
}
