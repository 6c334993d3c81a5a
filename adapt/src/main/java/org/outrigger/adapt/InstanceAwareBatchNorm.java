package org.outrigger.adapt;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Scopes;

/**
 * NOTE's normalisation (IABN): the usual statistics m and v, corrected for each instance where its
 * own mean and variance over L positions lie further off than chance would have them:
 *
 * <pre>
 * m' = m + soft(mean_i - m, k sqrt((v + eps) / L))
 * v' = max(0, v + soft(var_i - v, k (v + eps) sqrt(2 / (L - 1))))
 * </pre>
 *
 * with soft(x, t) = sign(x) max(|x| - t, 0). In training mode m and v (unbiased) are the batch's
 * and the running ones move by {@code momentum}; in evaluation mode they are the running ones. With
 * L = 1 there is nothing to correct. Gong et al., NOTE: Robust Continual Test-time Adaptation
 * Against Temporal Correlation, NeurIPS 2022.
 */
public final class InstanceAwareBatchNorm extends ReplacedNorm {
  private static final String KIND = "instance-aware-batch-norm";

  private final double k;
  private final double momentum;

  /**
   * @param original whose weights and statistics are copied
   * @param k how many standard errors an instance may lie off, above 0
   * @param momentum how far a batch moves the running statistics, in [0, 1]
   */
  public InstanceAwareBatchNorm(BatchNorm original, double k, double momentum) {
    super(original);
    HyperParameter.positive("k", k);
    HyperParameter.between("momentum", momentum, 0, 1);
    this.k = k;
    this.momentum = momentum;
  }

  /** {@code sign(x) max(|x| - threshold, 0)}; gradients flow to both. */
  static Tensor soft(Tensor x, Tensor threshold) {
    return x.sub(threshold).relu().sub(x.add(threshold).neg().relu());
  }

  /**
   * The corrected statistics of each instance.
   *
   * @param x [N, C, L], L above 1
   * @param mean m, [C]
   * @param variance v, [C]
   * @return m' and v', [N, C]
   */
  static Tensor[] corrected(Tensor x, Tensor mean, Tensor variance, double k, double eps) {
    long length = x.size(2);
    Tensor spread = variance.add(new Scalar(eps));
    Tensor ownMean = x.mean(2);
    Tensor ownVariance = x.var(new long[] {2}, true, false);
    Tensor off = spread.div(new Scalar((double) length)).sqrt().mul(new Scalar(k));
    Tensor wide = spread.mul(new Scalar(k * Math.sqrt(2.0 / (length - 1))));
    return new Tensor[] {
      mean.add(soft(ownMean.sub(mean), off)),
      variance.add(soft(ownVariance.sub(variance), wide)).relu()
    };
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          Tensor mean = context.tensor(this, MEAN);
          Tensor variance = context.tensor(this, VARIANCE);
          boolean train = context.training(this) || context.batchStatistics();
          if (train && x.numel() > channels()) {
            Tensor batchMean = x.mean(acrossBatch(x));
            Tensor batchVariance = x.var(acrossBatch(x), true, false);
            if (context.training(this)) {
              keep(MEAN, AlphaBatchNorm.mixed(mean, batchMean, momentum), context);
              keep(VARIANCE, AlphaBatchNorm.mixed(variance, batchVariance, momentum), context);
            }
            mean = batchMean;
            variance = batchVariance;
          }
          Tensor flat = flat(x);
          if (flat.size(2) == 1) {
            return normalised(x, mean, variance, context);
          }
          Tensor[] own = corrected(flat, mean, variance, k, eps());
          return normalised(x, own[0], own[1], context);
        });
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Map<String, Object> settings() {
    return Map.of("k", k, "momentum", momentum);
  }

  @Override
  public String toString() {
    return "InstanceAwareBatchNorm(" + channels() + ", k=" + k + ", momentum=" + momentum + ")";
  }

  /** Builds the layer in the place of a batch normalisation. */
  public static final class Kind extends OfBatchNorm {
    public Kind() {
      super(KIND);
    }

    @Override
    ReplacedNorm build(BatchNorm original, Map<String, ?> settings) {
      return new InstanceAwareBatchNorm(
          original, number(settings, "k"), number(settings, "momentum"));
    }
  }
}
