package org.outrigger.select.data;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * What a model's predictions say about single samples: perplexity, EL2N, entropy, and how much a
 * context helps. A sample has T token positions; those with a label below 0 are no answer tokens. A
 * classifier's sample has one position: {@code logits.unsqueeze(1)}.
 */
public final class TokenScores {
  private static final double SMALL = 1e-10;

  private TokenScores() {}

  /**
   * The mean negative log-likelihood of the answer tokens: the logarithm of the perplexity.
   *
   * @param logits [N, T, V]
   * @param labels int64 [N, T], below V; below 0: no answer token
   * @return float64 [N]; NaN for a sample without answer tokens
   */
  public static Tensor logPerplexity(Tensor logits, Tensor labels) {
    check(logits, labels);
    return Scopes.tensor(
        () -> {
          Tensor logs = torch.log_softmax(logits.to(ScalarType.Double), 2);
          return mean(chosen(logs, labels).neg(), labels);
        });
  }

  /**
   * EL2N: the mean over the answer tokens of {@code ||softmax(z) - onehot(y)||}. Paul et al., Deep
   * Learning on a Data Diet, NeurIPS 2021.
   *
   * @param logits [N, T, V]
   * @param labels int64 [N, T], below V; below 0: no answer token
   * @return float64 [N]; NaN for a sample without answer tokens
   */
  public static Tensor el2n(Tensor logits, Tensor labels) {
    check(logits, labels);
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits.to(ScalarType.Double), 2);
          Tensor known = labels.clamp_min(new Scalar(0));
          Tensor target = torch.one_hot(known, logits.size(2)).to(ScalarType.Double);
          Tensor apart = p.sub(target);
          return mean(apart.mul(apart).sum(2).sqrt(), labels);
        });
  }

  /**
   * Predictive entropy: the mean over all positions of {@code -sum p log(p + 1e-10)}.
   *
   * @param logits [N, T, V]
   * @return float64 [N], in nats
   */
  public static Tensor entropy(Tensor logits) {
    Shapes.check().tensor("logits", logits, "N", "T", "V");
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits.to(ScalarType.Double), 2);
          return p.mul(p.add(new Scalar(SMALL)).log()).sum(2).neg().mean(1);
        });
  }

  /**
   * Grounding: perplexity without the context over that with it. Above 1 the context helps.
   *
   * @param without log perplexity [N] with the context removed
   * @param with log perplexity [N]
   * @return [N]
   */
  public static Tensor grounding(Tensor without, Tensor with) {
    Shapes.check().tensor("without", without, "N").tensor("with", with, "N");
    return Scopes.tensor(() -> without.sub(with).exp());
  }

  private static void check(Tensor logits, Tensor labels) {
    Shapes.check().tensor("logits", logits, "N", "T", "V").tensor("labels", labels, "N", "T");
    Shapes.notEmpty("logits", logits);
    Scopes.run(() -> Shapes.labels("labels", labels.flatten(), logits.size(2), true));
    boolean answered = Scopes.scoped(() -> labels.ge(new Scalar(0)).any().item_bool());
    if (!answered) {
      throw new OutriggerException(
          "No sample has a label: scores of what a model has learned need labelled samples.");
    }
  }

  private static Tensor chosen(Tensor values, Tensor labels) {
    return values.gather(2, labels.clamp_min(new Scalar(0)).unsqueeze(2)).squeeze(2);
  }

  /** The mean over the positions that have a label. */
  private static Tensor mean(Tensor values, Tensor labels) {
    Tensor answer = labels.ge(new Scalar(0)).to(ScalarType.Double);
    return values.mul(answer).sum(1).div(answer.sum(1));
  }
}
