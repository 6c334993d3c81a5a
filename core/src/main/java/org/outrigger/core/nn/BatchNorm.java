package org.outrigger.core.nn;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;

/**
 * Batch normalisation over dimension 1: {@code weight}, {@code bias}, {@code running_mean}, {@code
 * running_var} [C] and {@code num_batches_tracked}. In training mode it uses the batch's statistics
 * and moves the running ones by {@code momentum}; in evaluation mode it uses the running ones.
 * {@link ForwardContext#BATCH_STATISTICS} is between the two: the batch's statistics, the running
 * ones stay. Ioffe and Szegedy, ICML 2015.
 */
public abstract class BatchNorm extends Layer implements Normalisation {
  private final int channels;
  private final double momentum;
  private final double eps;

  BatchNorm(int channels, double momentum, double eps, boolean affine, boolean track) {
    HyperParameter.atLeast("channels", channels, 1);
    HyperParameter.between("momentum", momentum, 0, 1);
    HyperParameter.notNegative("eps", eps);
    this.channels = channels;
    this.momentum = momentum;
    this.eps = eps;
    Scopes.run(
        () -> {
          if (affine) {
            parameter("weight", Init.ones(channels));
            parameter("bias", Init.zeros(channels));
          }
          if (track) {
            buffer("running_mean", Init.zeros(channels));
            buffer("running_var", Init.ones(channels));
            buffer(
                "num_batches_tracked",
                torch.zeros(new long[0], new TensorOptions(ScalarType.Long)));
          }
        });
  }

  /** The number of channels C. */
  public int channels() {
    return channels;
  }

  /** How far a batch moves the running statistics. */
  public double momentum() {
    return momentum;
  }

  /** What is added to the variance. */
  public double eps() {
    return eps;
  }

  /** How many dimensions an input has. */
  abstract boolean takes(long dimensions);

  /** Whether inputs may be rows [N, C]; a single one has no statistics, so it takes the running. */
  boolean vectors() {
    return false;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (!takes(x.dim())) {
      throw new IllegalArgumentException(
          "expected an input with channels in dimension 1, got " + x.dim() + " dimensions");
    }
    boolean tracks = has("running_mean");
    boolean single = x.numel() == channels;
    boolean train =
        context.training(this) || (context.batchStatistics() && !(single && tracks && vectors()));
    if (train && single) {
      throw new IllegalArgumentException(
          "batch statistics need more than one value for each channel");
    }
    boolean update = train && tracks && !context.functional() && !context.batchStatistics();
    if (update) {
      try (Scalar one = new Scalar(1)) {
        tensor("num_batches_tracked").add_(one);
      }
    }
    boolean running = tracks && (update || !train);
    TensorOptional none = ForwardContext.none();
    return torch.batch_norm(
        x,
        context.optional(this, "weight"),
        context.optional(this, "bias"),
        running ? context.optional(this, "running_mean") : none,
        running ? context.optional(this, "running_var") : none,
        train || !tracks,
        momentum,
        eps,
        true);
  }

  @Override
  public String toString() {
    return getClass().getSimpleName() + "(" + channels + ")";
  }
}
