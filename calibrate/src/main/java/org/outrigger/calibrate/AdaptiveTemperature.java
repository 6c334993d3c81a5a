package org.outrigger.calibrate;

import java.util.List;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.calibrate.CorrectnessCalibration.Weighting;
import org.outrigger.core.torch.Scopes;

/** The mathematics of {@link CorrectnessCalibration}; gradients pass through all of it. */
public final class AdaptiveTemperature {
  private AdaptiveTemperature() {}

  /**
   * What the network sees.
   *
   * @param logits [N, C]; the lower class comes first where equal
   * @param views logits of the views, each [N, C]
   * @param k up to C
   * @return [N, V k], view by view
   */
  public static Tensor features(Tensor logits, List<Tensor> views, int k) {
    return Scopes.tensor(
        () -> {
          Tensor top = descending(logits).narrow(1, 0, k);
          Tensor[] parts =
              views.stream()
                  .map(view -> torch.gather(torch.softmax(view, 1), 1, top))
                  .toArray(Tensor[]::new);
          return torch.cat(new TensorVector(parts), 1);
        });
  }

  /** The classes of each row by falling logit; the lower class first where equal. */
  private static Tensor descending(Tensor logits) {
    return torch.sort(logits.detach(), new BoolOptional(true), 1, true).get1();
  }

  /**
   * The network.
   *
   * @param features [N, F]
   * @param w1 [H, F]
   * @param b1 [H]
   * @param w2 [1, H]
   * @param b2 [1]
   * @return temperatures [N] in [lowest, highest]
   */
  public static Tensor temperatures(
      Tensor features, Tensor w1, Tensor b1, Tensor w2, Tensor b2, double lowest, double highest) {
    return Scopes.tensor(
        () ->
            torch
                .relu(features.mm(w1.t()).add(b1))
                .mm(w2.reshape(1, -1).t())
                .squeeze(1)
                .add(b2)
                .clamp_min(new Scalar(lowest))
                .clamp_max(new Scalar(highest)));
  }

  /**
   * The probability of the predicted class.
   *
   * @param logits [N, C]
   * @param temperatures [N]
   * @return [N]
   */
  public static Tensor confidence(Tensor logits, Tensor temperatures) {
    return Scopes.tensor(
        () -> torch.softmax(logits.div(temperatures.unsqueeze(1)), 1).amax(new long[] {1}, false));
  }

  /**
   * 1 where the predicted class is the label.
   *
   * @param logits [N, C]
   * @param labels int64 [N]
   * @return [N], of the type of {@code logits}
   */
  public static Tensor correct(Tensor logits, Tensor labels) {
    return Scopes.noGrad(() -> descending(logits).select(1, 0).eq(labels).to(logits.scalar_type()));
  }

  /**
   * The share of wrong rows for right ones, and the share of right rows for wrong ones.
   *
   * @param correct [N], 0 or 1
   * @return [N]; all 0 if the rows are all right or all wrong
   */
  public static Tensor weights(Tensor correct) {
    return Scopes.noGrad(
        () -> {
          Tensor share = correct.mean();
          Tensor wrong = correct.neg().add(new Scalar(1.0));
          return correct.mul(share.neg().add(new Scalar(1.0))).add(wrong.mul(share));
        });
  }

  /**
   * The weighted mean of {@code (p - c)^2}; the plain mean if all rows are right or all wrong.
   *
   * @param confidence p, [N]
   * @param correct c, [N], 0 or 1
   * @return a scalar
   */
  public static Tensor loss(Tensor confidence, Tensor correct, Weighting weighting) {
    return Scopes.tensor(
        () -> {
          Tensor each = confidence.sub(correct).square();
          Tensor weights = weights(correct);
          double sum = weights.sum().item_double();
          return weighting == Weighting.NONE || sum == 0
              ? each.mean()
              : each.mul(weights).sum().div(new Scalar(sum));
        });
  }
}
