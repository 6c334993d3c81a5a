package org.outrigger.adapt.edge;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * How uncertain a model is of each row, of several passes with dropout: probabilities [T, N, C],
 * finite, T at least 2. Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016; the
 * variance and the momentum are those of U-VPA (Gan et al., CVPR 2023) and SVDP (Yang et al., AAAI
 * 2024).
 */
public enum DropoutUncertainty {
  /** {@code sum_c Var_t p_c}, the population variance over the passes. */
  VARIANCE,
  /** The entropy of the mean prediction, in nats. */
  PREDICTIVE_ENTROPY,
  /** The entropy of the mean prediction less the mean entropy of the passes, in nats. */
  MUTUAL_INFORMATION;

  /**
   * The uncertainty of each row.
   *
   * @param passes probabilities [T, N, C]
   * @return [N], 0 or more
   */
  public Tensor of(Tensor passes) {
    Shapes.check().tensor("The probabilities of the passes", passes, "T", "N", "C");
    Shapes.notEmpty("The batch of passes", passes);
    Shapes.finite("The probabilities of the passes", passes);
    HyperParameter.atLeast("passes", passes.size(0), 2);
    return Scopes.tensor(
        () ->
            switch (this) {
              case VARIANCE -> passes.var(new long[] {0}, false, false).sum(1);
              case PREDICTIVE_ENTROPY -> entropy(passes.mean(0));
              case MUTUAL_INFORMATION ->
                  entropy(passes.mean(0)).sub(entropy(passes).mean(0)).clamp_min(new Scalar(0));
            });
  }

  /** Over the last dimension; probability 0 adds nothing. */
  private static Tensor entropy(Tensor p) {
    return torch.special_entr(p).sum(-1);
  }

  /**
   * The most uncertain rows: {@code floor(fraction N)} of them, at least one.
   *
   * @param uncertainty [N], finite
   * @param fraction in (0, 1]
   * @return row numbers, int64, the most uncertain first; ties by the lower number
   */
  public static Tensor most(Tensor uncertainty, double fraction) {
    Shapes.check().tensor("The uncertainty", uncertainty, "N");
    Shapes.notEmpty("The uncertainty", uncertainty);
    Shapes.finite("The uncertainty", uncertainty);
    HyperParameter.require(
        fraction > 0 && fraction <= 1, "fraction", fraction, "above 0 and at most 1");
    long n = uncertainty.size(0);
    long wanted = Math.max(1, (long) Math.floor(fraction * n));
    return Scopes.tensor(() -> torch.argsort(uncertainty, true, 0, true).narrow(0, 0, wanted));
  }

  /**
   * How much of its average a prompt keeps: {@code rate - scale mean(U)}, kept in [0, 1]. The more
   * uncertain the model, the faster the average follows.
   *
   * @param rate m0, in [0, 1]
   * @param scale of the mean uncertainty, 0 or more
   * @param meanUncertainty 0 or more
   */
  public static double momentum(double rate, double scale, double meanUncertainty) {
    HyperParameter.between("rate", rate, 0, 1);
    HyperParameter.notNegative("scale", scale);
    if (!(meanUncertainty >= 0)) {
      throw new OutriggerException(
          "The mean uncertainty is " + meanUncertainty + ", but it must be 0 or more.");
    }
    return Math.max(0, Math.min(1, rate - scale * meanUncertainty));
  }

  /**
   * {@code momentum average + (1 - momentum) value}.
   *
   * @param average of any shape
   * @param value of the same shape
   * @param momentum in [0, 1]
   */
  public static Tensor average(Tensor average, Tensor value, double momentum) {
    HyperParameter.between("momentum", momentum, 0, 1);
    return Scopes.tensor(
        () -> average.mul(new Scalar(momentum)).add(value, new Scalar(1 - momentum)));
  }
}
