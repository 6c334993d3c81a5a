package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/** Sees a layer's output, and may replace it; see {@link Layer#onOutput}. */
@FunctionalInterface
public interface OutputHook {
  /**
   * Called after each forward pass of the layer, also concurrently if passes are.
   *
   * @param layer the layer
   * @param output its output; this handle belongs to the scope that is innermost at that moment,
   *     which may be one of an outer layer: what is to last longer is kept with {@link
   *     org.outrigger.core.torch.Scopes#own}
   * @return what to pass on instead, as a new handle; null to pass on the output
   */
  @Nullable Tensor apply(Layer layer, Tensor output);

  /** A hook that can be taken off again. */
  interface Handle extends AutoCloseable {
    @Override
    void close();
  }
}
