package org.outrigger.adapt;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/**
 * The losses of unlabelled rows that several methods share. All of them take logits [N, C], and
 * gradients flow through them.
 */
public final class Entropies {
  private Entropies() {}

  /** The entropy of each row's softmax, H = -sum_c p_c log p_c: [N], in 0 .. ln C. */
  public static Tensor entropy(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor log = torch.log_softmax(logits, 1);
          return log.exp().mul(log).sum(1).neg();
        });
  }

  /**
   * The generalised cross-entropy of each row with its own predicted class, (1 - p^q) / q, which a
   * wrong class pulls less than the cross-entropy does: [N].
   *
   * @param q in (0, 1]; near 0 it is the cross-entropy, 1 is 1 - p
   */
  public static Tensor generalised(Tensor logits, double q) {
    return Scopes.tensor(
        () -> {
          Tensor largest = PseudoLabel.losses(logits).neg().mul(new Scalar(q)).exp();
          return largest.neg().add(new Scalar(1.0)).div(new Scalar(q));
        });
  }

  /** The mean softmax of a batch, [C]. */
  public static Tensor meanProbabilities(Tensor logits) {
    return Scopes.tensor(() -> torch.softmax(logits, 1).mean(0));
  }

  /** The entropy of the mean softmax of a batch, a scalar. */
  public static Tensor ofMean(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor log =
              torch.log_softmax(logits, 1).logsumexp(0).sub(new Scalar(Math.log(logits.size(0))));
          return log.exp().mul(log).sum().neg();
        });
  }

  /**
   * The mean of {@code losses} [N] over the rows that {@code mask} [N], a bool, keeps; 0 if none.
   */
  public static Tensor masked(Tensor losses, Tensor mask) {
    return Scopes.tensor(
        () -> {
          Tensor kept = mask.to(losses.scalar_type());
          return losses.mul(kept).sum().div(kept.sum().clamp_min(new Scalar(1)));
        });
  }
}
