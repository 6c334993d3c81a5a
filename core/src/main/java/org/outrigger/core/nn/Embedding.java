package org.outrigger.core.nn;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** A table of vectors: int64 indices [...] to [..., D]; {@code weight} [rows, D]. */
public final class Embedding extends Layer {
  private final long rows;
  private final long size;

  public Embedding(long rows, long size, Rng rng) {
    HyperParameter.atLeast("rows", rows, 1);
    HyperParameter.atLeast("size", size, 1);
    this.rows = rows;
    this.size = size;
    Scopes.run(() -> parameter("weight", Init.normal(rng, 1, rows, size)));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return torch.embedding(context.tensor(this, "weight"), x);
  }

  @Override
  public String toString() {
    return "Embedding(" + rows + ", " + size + ")";
  }
}
