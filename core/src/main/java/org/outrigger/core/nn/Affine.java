package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;

/**
 * A layer that computes {@code x W^T + b} over the last dimension, in whatever form it keeps {@code
 * W}. The bias, if there is one, is its tensor {@code bias} [out].
 */
public interface Affine {
  /** The size of the last dimension of its input. */
  long in();

  /** The size of the last dimension of its output. */
  long out();

  /** The matrix W [out, in] as it is now: borrowed, or of the enclosing scope. */
  Tensor matrix();
}
