package org.outrigger.calibrate.conformal;

import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.RowDraws;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * How badly each label fits a row, from its probabilities alone; a label set holds the labels whose
 * score is small.
 *
 * <p>Randomised scores need a number u in (0, 1) for each row. Here the row itself draws it: u is a
 * hash of its largest probabilities and the seed, in calibration as in use. So a row has the same
 * set in every batch and at every time, and since calibration and new rows are still scored by one
 * and the same function, the promise of coverage stays exact.
 *
 * @param kind of score
 * @param randomised whether APS and RAPS count a random part of the label's own probability instead
 *     of all of it; LAC has nothing to randomise
 * @param kReg the rank from which RAPS adds a penalty, 0 or more
 * @param lambda RAPS's penalty a rank, 0 or more
 * @param seed of u
 */
public record LabelScore(Kind kind, boolean randomised, int kReg, double lambda, long seed) {
  private static final int RANKS = 4;
  private static final double STEPS_PER_NAT = 256;

  /** The kinds of scores. */
  public enum Kind {
    /** {@link Lac}. */
    LAC,
    /** {@link Aps}. */
    APS,
    /** {@link Raps}. */
    RAPS
  }

  public LabelScore {
    HyperParameter.atLeast("kReg", kReg, 0);
    HyperParameter.notNegative("lambda", lambda);
  }

  /** LAC's score. */
  public static LabelScore lac() {
    return new LabelScore(Kind.LAC, false, 0, 0, 0);
  }

  /**
   * The scores of all labels.
   *
   * @param probabilities float64 [N, C]
   * @return float64 [N, C]
   */
  public Tensor of(Tensor probabilities) {
    if (kind == Kind.LAC) {
      return Lac.scores(probabilities);
    }
    return Scopes.noGrad(
        () -> {
          Tensor u =
              randomised ? draws(probabilities, seed) : torch.ones_like(probabilities.select(1, 0));
          return kind == Kind.APS
              ? Aps.scores(probabilities, u)
              : Raps.scores(probabilities, u, kReg, lambda);
        });
  }

  /**
   * The u of each row: a hash of how many 256ths of a nat the largest probability is above the next
   * three. The steps are fine enough for rows to differ, and coarse enough for u to stay where a
   * model's arithmetic gives other last digits in another batch.
   *
   * @param probabilities float64 [N, C]
   * @return float64 [N], uniform in (0, 1)
   */
  public static Tensor draws(Tensor probabilities, long seed) {
    return Scopes.noGrad(
        () -> {
          long ranks = Math.min(RANKS, probabilities.size(1));
          Tensor logs =
              ranked(probabilities)
                  .get0()
                  .narrow(1, 0, ranks)
                  .clamp_min(new Scalar(Double.MIN_NORMAL))
                  .log()
                  .mul(new Scalar(STEPS_PER_NAT));
          Tensor steps = logs.narrow(1, 0, 1).sub(logs).round().to(ScalarType.Long);
          return RowDraws.uniform(steps, seed, 1).squeeze(1);
        });
  }

  /** Probabilities in descending order and their labels; the lower label first where equal. */
  static T_TensorTensor_T ranked(Tensor probabilities) {
    return torch.sort(probabilities, new BoolOptional(true), 1, true);
  }

  /**
   * The rank of every label, from 1; of equal probabilities the lower label comes first.
   *
   * @param probabilities [N, C]
   * @return float64 [N, C]
   */
  public static Tensor ranks(Tensor probabilities) {
    return Scopes.noGrad(
        () -> {
          Tensor order = ranked(probabilities).get1();
          Tensor numbers = counting(probabilities.size(1)).expand_as(order).contiguous();
          return torch.empty_like(numbers).scatter(1, order, numbers);
        });
  }

  /** 1 .. n as float64 [1, n]. */
  static Tensor counting(long n) {
    return torch.ones(new long[] {1, n}, Tensors.scalar(0).options()).cumsum(1);
  }
}
