package org.outrigger.adapt;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Scopes;

/**
 * Batch normalisation by a mixture of source and batch: {@code mean = (1 - a) source + a batch},
 * {@code var = (1 - a) source + a batch} with the batch's unbiased variance. The statistics are
 * constants for gradients, and earlier batches are not remembered. A single value a channel has no
 * variance, so it is normalised by the source alone.
 */
public final class AlphaBatchNorm extends ReplacedNorm {
  private static final String KIND = "alpha-batch-norm";

  private final double a;

  /**
   * @param original whose weights and statistics are copied
   * @param a the batch's share, in [0, 1]
   */
  public AlphaBatchNorm(BatchNorm original, double a) {
    super(original);
    HyperParameter.between("a", a, 0, 1);
    this.a = a;
  }

  /** The mixture {@code (1 - a) source + a batch}. */
  static Tensor mixed(Tensor source, Tensor batch, double a) {
    return source.mul(new Scalar(1 - a)).add(batch, new Scalar(a));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          Tensor mean = context.tensor(this, MEAN);
          Tensor variance = context.tensor(this, VARIANCE);
          if (x.numel() > channels()) {
            Tensor seen = x.detach();
            mean = mixed(mean, seen.mean(acrossBatch(x)), a);
            variance = mixed(variance, seen.var(acrossBatch(x), true, false), a);
          }
          return normalisedBy(x, mean, variance, context);
        });
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Map<String, Object> settings() {
    return Map.of("a", a);
  }

  @Override
  public String toString() {
    return "AlphaBatchNorm(" + channels() + ", a=" + a + ")";
  }

  /** Builds the layer in the place of a batch normalisation. */
  public static final class Kind extends OfBatchNorm {
    public Kind() {
      super(KIND);
    }

    @Override
    ReplacedNorm build(BatchNorm original, Map<String, ?> settings) {
      return new AlphaBatchNorm(original, number(settings, "a"));
    }
  }
}
