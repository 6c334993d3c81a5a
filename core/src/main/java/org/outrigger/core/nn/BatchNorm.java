package org.outrigger.core.nn;

import org.bytedeco.pytorch.GradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
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
  /** Of the mean square that a variance must be, so that float32 keeps four digits of it. */
  private static final double LEAST_SHARE = 1e-3;

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
    if (train
        && context.batchStatistics()
        && x.dim() > 2
        && x.scalar_type().intern() == ScalarType.Float
        && !GradMode.is_enabled()) {
      Tensor y = byMoments(x, context);
      if (y != null) {
        return y;
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

  /**
   * The same as libtorch's training mode, whose statistics walk the values one by one, by two quick
   * passes over float32 maps: variance = mean of squares - square of mean. Null where that would
   * lose digits because a mean is large beside its deviation.
   */
  private @Nullable Tensor byMoments(Tensor x, ForwardContext context) {
    return Scopes.scoped(
        () -> {
          Tensor maps = x.flatten(2, -1);
          Tensor mean = maps.mean(2).to(ScalarType.Double).mean(0);
          Tensor square =
              maps.norm(new ScalarOptional(new Scalar(2)), new long[] {2}, false)
                  .to(ScalarType.Double)
                  .square_()
                  .div_(new Scalar((double) maps.size(2)))
                  .mean(0);
          Tensor variance = square.sub(mean.square());
          if (variance.lt(square.mul(new Scalar(LEAST_SHARE))).any().item_bool()) {
            return null;
          }
          return Scopes.keep(
              torch.batch_norm(
                  x,
                  context.optional(this, "weight"),
                  context.optional(this, "bias"),
                  new TensorOptional(mean.to(x.scalar_type())),
                  new TensorOptional(variance.to(x.scalar_type())),
                  false,
                  momentum,
                  eps,
                  true));
        });
  }

  @Override
  public String toString() {
    return getClass().getSimpleName() + "(" + channels + ")";
  }
}
