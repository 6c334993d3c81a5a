package org.outrigger.core.nn;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Sets values to zero with probability p and scales the others by 1 / (1 - p), in training mode
 * only. Its masks come from a generator of its own, so training passes over one network do not run
 * concurrently.
 */
public final class Dropout extends Layer {
  private final double p;
  private Rng rng;

  public Dropout(double p, long seed) {
    HyperParameter.require(p >= 0 && p < 1, "p", p, "0 or more and below 1");
    this.p = p;
    rng = new Rng(seed);
  }

  /** The probability of dropping a value. */
  public double p() {
    return p;
  }

  /** Its generator, whose state a checkpoint saves. */
  public Rng rng() {
    return rng;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (p == 0 || !context.training(this)) {
      return x;
    }
    return Scopes.tensor(() -> x.mul(mask(x)));
  }

  /** A mask of zeros and 1 / (1 - p) for {@code x}. */
  Tensor mask(Tensor x) {
    Tensor mask = torch.empty_like(x.detach()).cpu().bernoulli_(1 - p, rng.generator());
    return mask.div_(new Scalar(1 - p)).to(x.device(), x.scalar_type());
  }

  @Override
  protected void copied() {
    Rng source = rng;
    rng = new Rng(source.seed());
    Scopes.run(() -> rng.state(source.state()));
  }

  @Override
  public String toString() {
    return "Dropout(" + p + ")";
  }

  @Override
  public void close() {
    super.close();
    rng.close();
  }
}
