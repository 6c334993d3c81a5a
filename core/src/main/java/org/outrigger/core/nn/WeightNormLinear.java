package org.outrigger.core.nn;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A linear layer whose rows have a length and a direction of their own: {@code W_c = g_c v_c /
 * ||v_c||}; {@code bias} [out], {@code weight_g} [out, 1], {@code weight_v} [out, in]. Salimans and
 * Kingma, NeurIPS 2016. A row of {@code weight_v} that is 0 has no direction and gives NaN.
 */
public final class WeightNormLinear extends Layer implements Affine, Rebuildable {
  private static final String KIND = "weight-norm-linear";
  private static final String LENGTH = "weight_g";
  private static final String DIRECTION = "weight_v";

  private final long in;
  private final long out;

  /** Starts as a linear layer with drawn weights does. */
  public WeightNormLinear(long in, long out, Rng rng) {
    HyperParameter.atLeast("in", in, 1);
    HyperParameter.atLeast("out", out, 1);
    this.in = in;
    this.out = out;
    Scopes.run(
        () -> {
          Tensor v = Init.fanIn(rng, in, out, in);
          parameter("bias", Init.fanIn(rng, in, out));
          parameter(LENGTH, length(v));
          parameter(DIRECTION, v);
        });
  }

  @Override
  public long in() {
    return in;
  }

  @Override
  public long out() {
    return out;
  }

  @Override
  public Tensor matrix() {
    return Scopes.noGrad(() -> matrix(tensor(LENGTH), tensor(DIRECTION)));
  }

  /**
   * The matrix of lengths and directions.
   *
   * @param g [C, 1]
   * @param v [C, D], no row of which is 0
   * @return [C, D]
   */
  public static Tensor matrix(Tensor g, Tensor v) {
    return Scopes.tensor(() -> v.mul(g.div(length(v))));
  }

  private static Tensor length(Tensor v) {
    return v.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true);
  }

  /**
   * Demands that every row has a direction.
   *
   * @throws OutriggerException that counts the rows that have none
   */
  public void requireDirections() {
    long zero =
        Scopes.scoped(
            () -> length(tensor(DIRECTION).detach()).eq(new Scalar(0.0)).sum().item_long());
    if (zero > 0) {
      throw new OutriggerException(
          zero
              + " of "
              + out
              + " rows of weight_v of "
              + this
              + " are 0, so that they have no direction: give the layer other weights.");
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor bias = context.tensor(this, "bias");
    return Scopes.tensor(
        () ->
            torch.linear(
                x,
                matrix(context.tensor(this, LENGTH), context.tensor(this, DIRECTION)),
                new TensorOptional(bias)));
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public String toString() {
    return "WeightNormLinear(" + in + " -> " + out + ")";
  }

  /** Builds the layer in the place of a linear layer of the same size. */
  public static final class Kind implements Rebuildable.Kind {
    @Override
    public String name() {
      return KIND;
    }

    @Override
    public Layer build(Layer original, Map<String, ?> settings) {
      if (!(original instanceof Linear linear)) {
        throw new OutriggerException(
            "A weight-normalised layer takes the place of a linear layer, not of "
                + original
                + ": the file is damaged.");
      }
      try (Rng rng = new Rng(0)) {
        return new WeightNormLinear(linear.in(), linear.out(), rng);
      } finally {
        linear.close();
      }
    }
  }
}
