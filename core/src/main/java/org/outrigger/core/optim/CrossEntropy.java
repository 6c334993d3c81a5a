package org.outrigger.core.optim;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * Softmax cross-entropy, the mean over the rows that have a class; outlier rows are left out.
 *
 * @param labelSmoothing the share of the target that is spread evenly over all classes, in [0, 1]
 */
public record CrossEntropy(double labelSmoothing) implements Objective {
  private static final long SUM = 2;
  private static final long OUTLIER = -1;

  public CrossEntropy {
    HyperParameter.between("labelSmoothing", labelSmoothing, 0, 1);
  }

  public CrossEntropy() {
    this(0);
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    return loss(output.logits(), labels, labelSmoothing);
  }

  /**
   * The loss; 0 if no row has a class.
   *
   * @param logits [N, C]
   * @param labels int64 [N]; below 0 for outliers
   * @return a scalar
   */
  public static Tensor loss(Tensor logits, Tensor labels, double labelSmoothing) {
    return Torch.call(
        "The cross-entropy could not be computed: logits must be [N, C] and labels int64 [N] below"
            + " C.",
        () ->
            Scopes.tensor(
                () -> {
                  Tensor sum =
                      torch.cross_entropy_loss(
                          logits,
                          labels.clamp_min(new Scalar(OUTLIER)),
                          new TensorOptional(),
                          SUM,
                          OUTLIER,
                          labelSmoothing);
                  Tensor known = labels.ge(new Scalar(0)).sum();
                  return sum.div(known.clamp(new ScalarOptional(new Scalar(1))));
                }));
  }
}
