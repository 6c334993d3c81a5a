package org.outrigger.core.nn;

/** {@link BatchNorm} of [N, C, H, W]. */
public final class BatchNorm2d extends BatchNorm {
  /** Momentum 0.1 and eps 1e-5, with weights and running statistics. */
  public BatchNorm2d(int channels) {
    this(channels, 0.1, 1e-5, true, true);
  }

  /**
   * @param momentum how far a batch moves the running statistics, 0 to 1
   * @param eps added to the variance
   * @param affine whether it has a weight and a bias
   * @param track whether it keeps running statistics; without, it always uses the batch's
   */
  public BatchNorm2d(int channels, double momentum, double eps, boolean affine, boolean track) {
    super(channels, momentum, eps, affine, track);
  }

  @Override
  boolean takes(long dimensions) {
    return dimensions == 4;
  }
}
