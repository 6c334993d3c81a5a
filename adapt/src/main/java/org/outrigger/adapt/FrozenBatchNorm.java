package org.outrigger.adapt;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Scopes;

/** Batch normalisation that uses the source's statistics in every mode and never moves them. */
public final class FrozenBatchNorm extends ReplacedNorm {
  private static final String KIND = "frozen-batch-norm";

  /**
   * @param original whose weights and statistics are copied
   */
  public FrozenBatchNorm(BatchNorm original) {
    super(original);
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> normalisedBy(x, context.tensor(this, MEAN), context.tensor(this, VARIANCE), context));
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public String toString() {
    return "FrozenBatchNorm(" + channels() + ")";
  }

  /** Builds the layer in the place of a batch normalisation. */
  public static final class Kind extends OfBatchNorm {
    public Kind() {
      super(KIND);
    }

    @Override
    ReplacedNorm build(BatchNorm original, Map<String, ?> settings) {
      return new FrozenBatchNorm(original);
    }
  }
}
