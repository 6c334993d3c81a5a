package org.outrigger.adapt.edge;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.GradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Normalisation;
import org.outrigger.core.nn.Rebuildable;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Test-time batch renormalisation: the value of normalising with running statistics, the gradient
 * of normalising with the batch's. It takes the place of a {@link BatchNorm}, keeps its scale and
 * shift and forgets its statistics; a first batch stands in for them.
 *
 * <p>{@code y = weight (((x - mu_B) / s_B) r + d) + bias} with {@code s_B = sqrt(var_B + eps)} of
 * the unbiased variance, and without gradient {@code r = s_B / sqrt(var + eps)}, {@code d = (mu_B -
 * mu) / sqrt(var + eps)}. In training mode the statistics then move by the momentum; the first
 * batch sets them. Its tensors have the names of a batch norm's, so that either's state fits the
 * other; {@code num_batches_tracked} is 0 while there are no statistics.
 *
 * <p>Zhao et al., "DELTA: Degradation-free Fully Test-time Adaptation", ICLR 2023, as CEMA uses it.
 */
public final class TestTimeBatchRenorm extends Layer implements Normalisation, Rebuildable {
  private static final String KIND = "test-time-batch-renorm";

  /** Puts it in the place of a batch normalisation of a saved network. */
  public static final class Kind implements Rebuildable.Kind {
    @Override
    public String name() {
      return KIND;
    }

    @Override
    public Layer build(Layer original, Map<String, ?> settings) {
      if (!(original instanceof BatchNorm norm)) {
        throw new OutriggerException(
            "Test-time batch renormalisation takes the place of a batch normalisation, not of "
                + original
                + ": the file belongs to another network.");
      }
      try (norm) {
        return new TestTimeBatchRenorm(norm);
      }
    }
  }

  private final int channels;
  private final double momentum;
  private final double eps;

  /**
   * @param original whose scale and shift it shares, momentum and eps it takes over
   */
  public TestTimeBatchRenorm(BatchNorm original) {
    channels = original.channels();
    momentum = original.momentum();
    eps = original.eps();
    Scopes.run(
        () -> {
          for (String name : new String[] {"weight", "bias"}) {
            if (original.has(name)) {
              parameter(name, original.tensor(name));
            }
          }
          BatchNorm fresh =
              original instanceof BatchNorm1d
                  ? new BatchNorm1d(channels)
                  : new BatchNorm2d(channels);
          try (fresh) {
            fresh.buffers().forEach(this::buffer);
          }
        });
  }

  @Override
  public String kind() {
    return KIND;
  }

  /** Whether it has seen a batch, so that there are statistics. */
  public boolean tracks() {
    return tensor("num_batches_tracked").item_long() > 0;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (x.dim() < 2 || x.size(1) != channels) {
      throw new IllegalArgumentException("expected " + channels + " channels in dimension 1");
    }
    boolean training = context.training(this);
    if (!tracks() && !context.functional()) {
      requireVariance(x);
      move(x, 1);
    }
    if (tracks() && !training && !GradMode.is_enabled()) {
      return torch.batch_norm(
          x,
          context.optional(this, "weight"),
          context.optional(this, "bias"),
          context.optional(this, "running_mean"),
          context.optional(this, "running_var"),
          false,
          momentum,
          eps,
          true);
    }
    Tensor y =
        normalise(
            x,
            has("weight") ? context.tensor(this, "weight") : null,
            has("bias") ? context.tensor(this, "bias") : null,
            tracks() ? context.tensor(this, "running_mean") : null,
            tracks() ? context.tensor(this, "running_var") : null,
            eps);
    if (training && !context.functional()) {
      move(x, momentum);
    }
    return y;
  }

  private void move(Tensor x, double share) {
    Scopes.run(
        () -> {
          Tensor values = x.detach();
          Tensor mean = tensor("running_mean");
          Tensor var = tensor("running_var");
          Scalar weight = new Scalar(share);
          mean.lerp_(values.mean(others(x), false, null).to(mean.scalar_type()), weight);
          var.lerp_(values.var(others(x), true, false).to(var.scalar_type()), weight);
          tensor("num_batches_tracked").add_(new Scalar(1));
        });
  }

  /** The dimensions that statistics are taken over: all but the channels. */
  private static long[] others(Tensor x) {
    return LongStream.range(0, x.dim()).filter(d -> d != 1).toArray();
  }

  /**
   * The normalisation of one batch; nothing is moved.
   *
   * @param x [N, C, ...] with at least two values a channel
   * @param weight the scale [C]; null for 1
   * @param bias the shift [C]; null for 0
   * @param mean the running mean [C]; null to take the batch's
   * @param var the running variance [C]; null to take the batch's, if there is no mean
   * @return of the shape of {@code x}; gradients flow to {@code x}, scale and shift
   * @throws OutriggerException if a channel has a single value
   */
  public static Tensor normalise(
      Tensor x,
      @Nullable Tensor weight,
      @Nullable Tensor bias,
      @Nullable Tensor mean,
      @Nullable Tensor var,
      double eps) {
    long channels = x.size(1);
    Shapes shapes = Shapes.check().size("C", channels, "the input");
    for (Tensor each : new Tensor[] {weight, bias, mean, var}) {
      if (each != null) {
        shapes.tensor("A tensor of the normalisation", each, "C");
      }
    }
    requireVariance(x);
    return Scopes.tensor(
        () -> {
          long[] shape = LongStream.range(0, x.dim()).map(d -> d == 1 ? channels : 1).toArray();
          Tensor meanB = x.mean(others(x), true, null);
          Tensor stdB = x.var(others(x), true, true).add(new Scalar(eps)).sqrt();
          Tensor y = x.sub(meanB).div(stdB);
          if (mean != null && var != null) {
            Tensor std = var.detach().view(shape).add(new Scalar(eps)).sqrt();
            Tensor r = stdB.detach().div(std);
            Tensor d = meanB.detach().sub(mean.detach().view(shape)).div(std);
            y = y.mul(r).add(d);
          }
          y = weight == null ? y : y.mul(weight.view(shape));
          return bias == null ? y : y.add(bias.view(shape));
        });
  }

  private static void requireVariance(Tensor x) {
    if (x.numel() <= x.size(1)) {
      throw new OutriggerException(
          "The variance of a batch needs two values or more for each channel, but the batch of"
              + " shape "
              + Arrays.toString(x.shape())
              + " has one: use larger batches.");
    }
  }

  @Override
  public String toString() {
    return "TestTimeBatchRenorm(" + channels + ")";
  }
}
