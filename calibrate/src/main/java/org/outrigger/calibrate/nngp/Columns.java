package org.outrigger.calibrate.nngp;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Scopes;

/**
 * Mean and deviation of each column of the training rows; a constant column keeps its values' unit.
 *
 * @param mean float64 [D]
 * @param deviation float64 [D]
 */
record Columns(Tensor mean, Tensor deviation) implements AutoCloseable {
  private static final double SMALLEST = 1e-12;

  /** Of rows [N, D]; what it holds belongs to no scope. */
  static Columns of(Tensor rows) {
    return Scopes.scoped(
        () -> {
          Tensor x = rows.to(ScalarType.Double);
          Tensor mean = x.mean(0);
          Tensor deviation = x.sub(mean).square().mean(0).sqrt();
          Tensor constant = deviation.le(mean.abs().mul(new Scalar(SMALLEST)));
          return owned(mean, deviation.masked_fill(constant, new Scalar(1.0)));
        });
  }

  /** Such that nothing changes. */
  static Columns none(Tensor rows) {
    return Scopes.scoped(
        () -> {
          Tensor one = torch.ones_like(rows.select(0, 0).to(ScalarType.Double));
          return owned(torch.zeros_like(one), one);
        });
  }

  /** With handles that belong to no scope. */
  static Columns owned(Tensor mean, Tensor deviation) {
    return new Columns(Scopes.own(mean), Scopes.own(deviation));
  }

  /** Standardised rows, float64. */
  Tensor apply(Tensor rows) {
    return Scopes.tensor(() -> rows.to(ScalarType.Double).sub(mean).div(deviation));
  }

  @Override
  public void close() {
    Scopes.release(mean);
    Scopes.release(deviation);
  }
}
