package org.outrigger.core.zoo.series;

import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.RmsNorm;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A pre-norm layer of a time-series transformer: attention with normalised, half rotated queries
 * and keys, then {@code fc2(SiLU(fc_gate x) * fc1 x)}; no biases. Names: self_attn.q_proj, .k_proj,
 * .v_proj, .out_proj, .q_norm, .k_norm, ffn.fc1, .fc2, .fc_gate, norm1, norm2.
 */
public final class SeriesBlock extends Layer {
  private final boolean causal;

  public SeriesBlock(SeriesConfig config, Rng rng) {
    causal = config.decoder();
    child("self_attn", new Attention(config.width(), config.heads(), rng));
    child("ffn", new GatedFeedForward(config.width(), config.hidden(), rng));
    child("norm1", new RmsNorm(config.width()));
    child("norm2", new RmsNorm(config.width()));
  }

  /**
   * Runs the layer on packed series.
   *
   * @param x [B, T, d]
   * @param sampleId int64 [B, T]
   * @param timeId int64 [B, T]
   * @return [B, T, d]
   */
  public Tensor run(Tensor x, Tensor sampleId, Tensor timeId) {
    return Scopes.tensor(
        () ->
            run(
                x,
                rotary(x, timeId),
                PackedSeries.visible(sampleId, causal).unsqueeze(-3),
                ForwardContext.AS_IS));
  }

  /**
   * The attention weights that the layer gives, computed one by one.
   *
   * @param x [B, T, d], before the first norm
   * @return [B, heads, T, T]; each row sums to one
   */
  public Tensor attention(Tensor x, Tensor sampleId, Tensor timeId) {
    return Scopes.tensor(
        () ->
            ((Attention) get("self_attn"))
                .weights(
                    get("norm1").forward(x),
                    rotary(x, timeId),
                    PackedSeries.visible(sampleId, causal).unsqueeze(-3)));
  }

  private Rotary rotary(Tensor x, Tensor timeId) {
    return Rotary.of(
        timeId, ((Attention) get("self_attn")).rotaryWidth(), x.scalar_type().intern());
  }

  Tensor run(Tensor x, Rotary rotary, Tensor visible, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          Attention attention = (Attention) get("self_attn");
          Tensor normed = get("norm1").forward(x, context);
          Tensor middle = x.add(attention.run(normed, rotary, visible, context));
          return middle.add(get("ffn").forward(get("norm2").forward(middle, context), context));
        });
  }

  /** One series a row, in order, without padding. */
  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          Tensor time = torch.arange(new Scalar(x.size(-2)), new TensorOptions(ScalarType.Long));
          Tensor one = torch.ones_like(time);
          return run(x, rotary(x, time), PackedSeries.visible(one, causal), context);
        });
  }

  /** Attention whose queries and keys are normalised and then turned by their place. */
  private static final class Attention extends Layer {
    private final int heads;
    private final long head;

    Attention(int width, int heads, Rng rng) {
      this.heads = heads;
      head = width / heads;
      for (String name : new String[] {"q_proj", "k_proj", "v_proj", "out_proj"}) {
        child(name, new Linear(width, width, false, rng));
      }
      child("q_norm", new RmsNorm(head));
      child("k_norm", new RmsNorm(head));
    }

    long rotaryWidth() {
      return head / 2;
    }

    /** [B, T, d] to [B, heads, T, d / heads]. */
    private Tensor split(String projection, Tensor x, ForwardContext context) {
      return get(projection).forward(x, context).unflatten(-1, heads, head).transpose(-3, -2);
    }

    private Tensor turned(
        String projection, String norm, Tensor x, Rotary rotary, ForwardContext context) {
      return rotary.turn(get(norm).forward(split(projection, x, context), context));
    }

    Tensor run(Tensor x, Rotary rotary, Tensor visible, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor mixed =
                torch.scaled_dot_product_attention(
                    turned("q_proj", "q_norm", x, rotary, context),
                    turned("k_proj", "k_norm", x, rotary, context),
                    split("v_proj", x, context),
                    new TensorOptional(visible),
                    0,
                    false,
                    new DoubleOptional(),
                    false);
            return get("out_proj").forward(mixed.transpose(-3, -2).flatten(-2, -1), context);
          });
    }

    Tensor weights(Tensor x, Rotary rotary, Tensor visible) {
      Tensor q = turned("q_proj", "q_norm", x, rotary, ForwardContext.AS_IS);
      Tensor k = turned("k_proj", "k_norm", x, rotary, ForwardContext.AS_IS);
      return q.matmul(k.transpose(-2, -1))
          .mul(new Scalar(1 / Math.sqrt(head)))
          .masked_fill(visible.logical_not(), new Scalar(Double.NEGATIVE_INFINITY))
          .softmax(-1);
    }

    /** Without places: for a layer that is tried on its own. */
    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor still = torch.zeros(new long[] {x.size(-2)}, new TensorOptions(ScalarType.Long));
            Rotary none = Rotary.of(still, rotaryWidth(), x.scalar_type().intern());
            return run(x, none, PackedSeries.visible(still, false), context);
          });
    }

    @Override
    public String toString() {
      return "SeriesAttention(" + heads + " heads)";
    }
  }

  /** {@code fc2(SiLU(fc_gate x) * fc1 x)}. */
  private static final class GatedFeedForward extends Layer {
    GatedFeedForward(int width, int hidden, Rng rng) {
      child("fc1", new Linear(width, hidden, false, rng));
      child("fc2", new Linear(hidden, width, false, rng));
      child("fc_gate", new Linear(width, hidden, false, rng));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor gate = torch.silu(get("fc_gate").forward(x, context));
            return get("fc2").forward(gate.mul(get("fc1").forward(x, context)), context);
          });
    }
  }
}
