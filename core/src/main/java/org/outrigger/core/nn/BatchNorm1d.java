package org.outrigger.core.nn;

/** {@link BatchNorm} of [N, C] or [N, C, L]. */
public final class BatchNorm1d extends BatchNorm {
  /** Momentum 0.1 and eps 1e-5, with weights and running statistics. */
  public BatchNorm1d(int channels) {
    this(channels, 0.1, 1e-5, true, true);
  }

  /**
   * @param momentum how far a batch moves the running statistics, 0 to 1
   * @param eps added to the variance
   * @param affine whether it has a weight and a bias
   * @param track whether it keeps running statistics; without, it always uses the batch's
   */
  public BatchNorm1d(int channels, double momentum, double eps, boolean affine, boolean track) {
    super(channels, momentum, eps, affine, track);
  }

  @Override
  boolean takes(long dimensions) {
    return dimensions == 2 || dimensions == 3;
  }

  @Override
  boolean vectors() {
    return true;
  }
}
