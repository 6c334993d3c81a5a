package org.outrigger.calibrate;

import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.optim.Lbfgs;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the fits of calibrators share. */
final class ConvexFit {
  private static final Logger LOG = LoggerFactory.getLogger(ConvexFit.class);
  private static final Lbfgs LBFGS = new Lbfgs(20, 3000, 1e-8);

  private ConvexFit() {}

  /**
   * The minimum of a convex loss, to a gradient of at most 1e-8 in each entry.
   *
   * @param start float64 of any shape
   * @return of that shape
   */
  static Tensor minimise(String who, Tensor start, Function<Tensor, Tensor> loss) {
    Lbfgs.Result result = LBFGS.minimise(start, loss);
    if (!result.converged()) {
      LOG.warn(
          "The fit of {} stopped after {} steps with a gradient of {}: it may be less exact than"
              + " usual. Extreme logits are a common reason.",
          who,
          result.iterations(),
          result.gradientNorm());
    }
    return Tensors.of(result.x(), start.shape());
  }

  /** Demands rows of every class. */
  static void requireEachClass(String who, Tensor labels, long classes) {
    long[] counts =
        Tensors.longs(labels.bincount(new org.bytedeco.pytorch.TensorOptional(), classes));
    for (int c = 0; c < counts.length; c++) {
      if (counts[c] == 0) {
        throw new OutriggerException(
            "Class "
                + c
                + " has no row in the held-out data, but "
                + who
                + " fits parameters for each class: give rows of every class, or use a method"
                + " with one map for all, such as temperature.");
      }
    }
  }

  /** One-hot labels, float64 [N, C]. */
  static Tensor oneHot(Tensor labels, long classes) {
    return org.bytedeco.pytorch.global.torch.one_hot(labels, classes).to(ScalarType.Double);
  }
}
