package org.outrigger.stream.liquid;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Shapes;

/** Times of steps and what the time of day looks like to a network; all in the caller's scope. */
final class Clock {
  private Clock() {}

  /** The times after each step, float64 [T], when {@code before} was the time before them. */
  static Tensor times(long steps, @Nullable Tensor elapsed, double before) {
    Tensor each =
        elapsed == null
            ? torch.ones(new long[] {steps}, new TensorOptions(ScalarType.Double))
            : elapsed.to(ScalarType.Double);
    return each.cumsum(0).add(new Scalar(before));
  }

  /** Sine and cosine of the time of day, [T, 2]. */
  static Tensor timeOfDay(Tensor times, double period) {
    Tensor angle = times.mul(new Scalar(2 * Math.PI / period));
    return torch.stack(new TensorVector(angle.sin(), angle.cos()), 1);
  }

  /** Demands finite loads [S, T] and times above 0, [T]. */
  static void check(Tensor loads, @Nullable Tensor elapsed) {
    Shapes shapes = Shapes.check().tensor("loads", loads, "S", "T");
    Shapes.notEmpty("loads", loads);
    if (!loads.isfinite().all().item_bool()) {
      throw new OutriggerException(
          "The loads hold NaN or infinite values: close the gaps first, which Gaps does.");
    }
    if (elapsed != null) {
      shapes.tensor("elapsed", elapsed, "T");
      if (!elapsed.isfinite().logical_and(elapsed.gt(new Scalar(0.0))).all().item_bool()) {
        throw new OutriggerException(
            "Elapsed times must be finite and above 0: sort the steps by time, and merge those of"
                + " the same time.");
      }
    }
  }
}
