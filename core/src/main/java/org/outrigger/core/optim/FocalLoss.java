package org.outrigger.core.optim;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * Focal loss, -(1 - p_y)^gamma log p_y: rows that are right already count little, which keeps a
 * network from growing sure without end. The mean over the rows that have a class; outlier rows are
 * left out. Lin et al., ICCV 2017; for calibration Mukhoti et al., Calibrating Deep Neural Networks
 * using Focal Loss, NeurIPS 2020.
 *
 * @param gamma how little sure rows count, at least 0; 0 is cross-entropy, 2 or 3 are usual
 * @param sampleDependent whether each row has a gamma of its own instead: 5 below a probability of
 *     0.2 and 3 above (FLSD-53)
 */
public record FocalLoss(double gamma, boolean sampleDependent) implements Objective {
  private static final double UNSURE = 0.2;
  private static final double GAMMA_UNSURE = 5;
  private static final double GAMMA_SURE = 3;

  public FocalLoss {
    HyperParameter.notNegative("gamma", gamma);
  }

  /** With the same gamma for all rows. */
  public FocalLoss(double gamma) {
    this(gamma, false);
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    return Torch.call(
        "The focal loss could not be computed: logits must be [N, C] and labels int64 [N] below C.",
        () ->
            Scopes.tensor(
                () -> {
                  Tensor known = labels.ge(new Scalar(0));
                  Tensor rows = rows(output.logits(), labels.clamp_min(new Scalar(0)));
                  Tensor count = known.sum().clamp(new ScalarOptional(new Scalar(1)));
                  return rows.mul(known).sum().div(count);
                }));
  }

  /**
   * The loss of each row.
   *
   * @param logits [N, C]
   * @param labels int64 [N], in 0 .. C-1
   * @return [N]; differentiable through both factors
   */
  public Tensor rows(Tensor logits, Tensor labels) {
    return Scopes.tensor(
        () -> {
          Tensor log = torch.log_softmax(logits, 1).gather(1, labels.unsqueeze(1)).squeeze(1);
          // The slope of a power below 1 has no limit at 0.
          Tensor miss = log.expm1().neg().clamp_min(new Scalar(1e-12));
          if (!sampleDependent) {
            return miss.pow(new Scalar(gamma)).mul(log).neg();
          }
          Tensor unsure = log.detach().exp().lt(new Scalar(UNSURE));
          return torch
              .where(unsure, miss.pow(new Scalar(GAMMA_UNSURE)), miss.pow(new Scalar(GAMMA_SURE)))
              .mul(log)
              .neg();
        });
  }
}
