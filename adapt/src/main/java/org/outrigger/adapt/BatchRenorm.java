package org.outrigger.adapt;

import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Normalisation;
import org.outrigger.core.torch.Scopes;

/**
 * Batch normalisation whose result is moved to running statistics of the stream, y = ((x - mu) /
 * sigma) r + d with r = sigma / running_std and d = (mu - running_mean) / running_std, through which
 * no gradient flows. Buffers: {@code running_mean}, {@code running_std} [C], which the first batch
 * sets and later ones move in training mode; {@code seen}, whether there was one. In evaluation mode
 * they stay.
 */
final class BatchRenorm extends Layer implements Normalisation {
  private final double prior;
  private final double eps;

  /**
   * @param original whose scale and shift it takes over as copies
   * @param prior how much of the running statistics stays, in [0, 1]
   */
  BatchRenorm(BatchNorm original, double prior) {
    HyperParameter.between("prior", prior, 0, 1);
    this.prior = prior;
    this.eps = original.eps();
    Scopes.run(
        () -> {
          Tensor like =
              original.has("weight")
                  ? original.tensor("weight")
                  : original.has("running_mean") ? original.tensor("running_mean") : null;
          if (original.has("weight")) {
            parameter("weight", copy(original.tensor("weight")));
            parameter("bias", copy(original.tensor("bias")));
          }
          buffer("running_mean", blank(like, original.channels()));
          buffer("running_std", blank(like, original.channels()).add(new Scalar(1.0)));
          buffer("seen", torch.zeros(new long[0], new TensorOptions(ScalarType.Long)));
        });
  }

  private static Tensor copy(Tensor tensor) {
    return tensor.detach().clone();
  }

  private static Tensor blank(@Nullable Tensor like, int channels) {
    return like == null
        ? torch.zeros(new long[] {channels}, new TensorOptions(ScalarType.Float))
        : torch.zeros_like(like.detach());
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor mean = context.tensor(this, "running_mean");
    if (x.dim() < 2 || x.size(1) != mean.size(0)) {
      throw new IllegalArgumentException("expected an input with channels in dimension 1");
    }
    if (x.numel() == mean.size(0)) {
      throw new IllegalArgumentException(
          "batch statistics need more than one value for each channel");
    }
    return Scopes.tensor(
        () -> {
          Tensor[] moved = Scopes.grad(false, () -> moved(x, context));
          Tensor scale = moved[0];
          Tensor shift = moved[1];
          if (has("weight")) {
            Tensor weight = context.tensor(this, "weight");
            scale = weight.mul(scale);
            shift = weight.mul(shift).add(context.tensor(this, "bias"));
          }
          return torch.batch_norm(
              x,
              new TensorOptional(scale),
              new TensorOptional(shift),
              ForwardContext.none(),
              ForwardContext.none(),
              true,
              0,
              eps,
              true);
        });
  }

  /** The corrections r and d of this batch; then the running statistics move. */
  private Tensor[] moved(Tensor x, ForwardContext context) {
    long[] others =
        LongStream.range(0, x.dim()).filter(dimension -> dimension != 1).toArray();
    T_TensorTensor_T moments = torch.var_mean(x, others, false, false);
    Tensor std = moments.get0().add(new Scalar(eps)).sqrt();
    Tensor mean = moments.get1();
    Tensor seen = context.tensor(this, "seen");
    Tensor runningMean = context.tensor(this, "running_mean");
    Tensor runningStd = context.tensor(this, "running_std");
    boolean first = seen.item_long() == 0;
    Tensor[] corrections =
        first
            ? new Tensor[] {torch.ones_like(std), torch.zeros_like(mean)}
            : new Tensor[] {std.div(runningStd), mean.sub(runningMean).div(runningStd)};
    if (context.training(this) && !context.functional()) {
      double stays = first ? 0 : prior;
      runningMean.mul_(new Scalar(stays)).add_(mean, new Scalar(1 - stays));
      runningStd.mul_(new Scalar(stays)).add_(std, new Scalar(1 - stays));
      seen.fill_(new Scalar(1));
    }
    return corrections;
  }

  @Override
  public String toString() {
    return "BatchRenorm(" + tensor("running_mean").size(0) + ")";
  }
}
