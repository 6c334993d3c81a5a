package org.outrigger.core.zoo.series;

import java.util.Arrays;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Sequences of patches in which several series stand one after the other.
 *
 * @param target values [B, T, P], finite; what is not observed is 0
 * @param observed bool [B, T, P]
 * @param sampleId int64 [B, T]: which series a patch belongs to, from 1; 0 is padding
 * @param timeId int64 [B, T]: the patch's place in its series, from 0
 * @param variateId int64 [B, T]: which variable of the series; 0 where there is one
 * @param predicted bool [B, T]: the patches that are to be predicted
 */
public record PackedSeries(
    Tensor target,
    Tensor observed,
    Tensor sampleId,
    Tensor timeId,
    Tensor variateId,
    Tensor predicted) {
  /**
   * Checks shapes and values.
   *
   * @param patch the points of a patch that the network takes
   * @param maxTokens the patches that a sequence may have
   */
  void check(int patch, int maxTokens) {
    Shapes.check()
        .tensor("target", target, "B", "T", Integer.toString(patch))
        .tensor("observed", observed, "B", "T", Integer.toString(patch))
        .tensor("sampleId", sampleId, "B", "T")
        .tensor("timeId", timeId, "B", "T")
        .tensor("variateId", variateId, "B", "T")
        .tensor("predicted", predicted, "B", "T");
    Shapes.notEmpty("target", target);
    if (target.size(1) > maxTokens) {
      throw new OutriggerException(
          "A sequence of "
              + target.size(1)
              + " patches is longer than the "
              + maxTokens
              + " that this network takes: cut the series, or make the network with a larger"
              + " maxTokens. The batch has shape "
              + Arrays.toString(target.shape())
              + ".");
    }
    Shapes.finite("target", target);
  }

  /** The first {@code n} patches of each sequence. */
  PackedSeries narrow(long start, long n) {
    return new PackedSeries(
        target.narrow(1, start, n),
        observed.narrow(1, start, n),
        sampleId.narrow(1, start, n),
        timeId.narrow(1, start, n),
        variateId.narrow(1, start, n),
        predicted.narrow(1, start, n));
  }

  /**
   * Which patches belong to the same variable of the same series.
   *
   * @return bool [B, T, T]
   */
  public static Tensor sameSeries(Tensor sampleId, Tensor variateId) {
    return Scopes.tensor(
        () ->
            sampleId
                .unsqueeze(-1)
                .eq(sampleId.unsqueeze(-2))
                .logical_and(variateId.unsqueeze(-1).eq(variateId.unsqueeze(-2))));
  }

  /**
   * Which patch may see which: those of the same series, of a decoder the earlier ones and itself.
   *
   * @param sampleId int64 [..., T]
   * @return bool [..., T, T]
   */
  public static Tensor visible(Tensor sampleId, boolean causal) {
    return Scopes.tensor(
        () -> {
          Tensor same = sampleId.unsqueeze(-1).eq(sampleId.unsqueeze(-2));
          return causal ? same.tril() : same;
        });
  }

  /**
   * The mean of a loss over the observed points of the patches that are to be predicted: first over
   * those of each series, then over all series of the batch that have such patches.
   *
   * @param loss [B, T, P]
   * @return a scalar; 0 if there is nothing to predict
   */
  public static Tensor meanLoss(
      Tensor loss, Tensor observed, Tensor sampleId, Tensor variateId, Tensor predicted) {
    return Scopes.tensor(
        () -> {
          ScalarType type = loss.scalar_type().intern();
          Tensor same = sameSeries(sampleId, variateId).to(type);
          Tensor wanted = predicted.to(type);
          Tensor mask = observed.to(type).mul(wanted.unsqueeze(-1));
          Tensor points = same.matmul(mask.sum(-1).unsqueeze(-1));
          Tensor patches = same.matmul(wanted.unsqueeze(-1)).squeeze(-1).mul(wanted);
          // One over the number of patches, summed over a series' patches, counts the series.
          Tensor series = wanted.div(nonZero(patches)).sum();
          return loss.mul(mask).div(nonZero(points)).sum().div(nonZero(series));
        });
  }

  /** Ones in place of zeros, so that nothing is divided by zero. */
  static Tensor nonZero(Tensor count) {
    return torch.where(count.eq(new Scalar(0)), torch.ones_like(count), count);
  }
}
