package org.outrigger.adapt;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Scopes;

/**
 * RoTTA's normalisation: in training mode the running statistics move to {@code (1 - alpha) old +
 * alpha batch} (biased variance), and what they moved to normalises the batch, with gradients
 * through the batch's part; in evaluation mode the running ones are used. Yuan et al., Robust
 * Test-Time Adaptation in Dynamic Scenarios, CVPR 2023.
 */
public final class RobustBatchNorm extends ReplacedNorm {
  private static final String KIND = "robust-batch-norm";

  private final double alpha;

  /**
   * @param original whose weights and statistics are copied
   * @param alpha how far a batch moves the statistics, in [0, 1]
   */
  public RobustBatchNorm(BatchNorm original, double alpha) {
    super(original);
    HyperParameter.between("alpha", alpha, 0, 1);
    this.alpha = alpha;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          Tensor mean = context.tensor(this, MEAN);
          Tensor variance = context.tensor(this, VARIANCE);
          if (!context.training(this)) {
            return normalisedBy(x, mean, variance, context);
          }
          long[] all = acrossBatch(x);
          Tensor newMean = AlphaBatchNorm.mixed(mean, x.mean(all), alpha);
          Tensor newVariance = AlphaBatchNorm.mixed(variance, x.var(all, false, false), alpha);
          Tensor y = normalised(x, newMean, newVariance, context);
          keep(MEAN, newMean, context);
          keep(VARIANCE, newVariance, context);
          return y;
        });
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Map<String, Object> settings() {
    return Map.of("alpha", alpha);
  }

  @Override
  public String toString() {
    return "RobustBatchNorm(" + channels() + ", alpha=" + alpha + ")";
  }

  /** Builds the layer in the place of a batch normalisation. */
  public static final class Kind extends OfBatchNorm {
    public Kind() {
      super(KIND);
    }

    @Override
    ReplacedNorm build(BatchNorm original, Map<String, ?> settings) {
      return new RobustBatchNorm(original, number(settings, "alpha"));
    }
  }
}
