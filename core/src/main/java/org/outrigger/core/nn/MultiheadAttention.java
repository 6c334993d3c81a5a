package org.outrigger.core.nn;

import java.util.Arrays;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Multi-head attention, softmax(Q K^T / sqrt(d)) V for each head, over batch-first sequences [N, L,
 * E]; {@code in_proj_weight} [3 E, E], {@code in_proj_bias}, {@code out_proj.weight}, {@code
 * out_proj.bias}. {@link #forward(Tensor)} is self-attention; {@link #attend} takes queries, keys
 * and values apart, with masks. Vaswani et al., NeurIPS 2017.
 */
public final class MultiheadAttention extends Layer {
  private final int size;
  private final int heads;

  public MultiheadAttention(int size, int heads, Rng rng) {
    this(size, heads, true, 0, 0, rng);
  }

  /**
   * @param size of a token's vector, E
   * @param heads a divisor of it
   * @param bias whether the projections have biases
   * @param dropout the probability of dropping an attention weight in training
   * @param seed of the dropout's own generator
   */
  public MultiheadAttention(int size, int heads, boolean bias, double dropout, long seed, Rng rng) {
    HyperParameter.atLeast("size", size, 1);
    HyperParameter.require(
        heads >= 1 && size % heads == 0, "heads", heads, "a divisor of size = " + size);
    this.size = size;
    this.heads = heads;
    Scopes.run(
        () -> {
          parameter("in_proj_weight", Init.xavierUniform(rng, 3L * size, size));
          if (bias) {
            parameter("in_proj_bias", Init.zeros(3L * size));
          }
        });
    Linear out = child("out_proj", new Linear(size, size, bias, rng));
    if (bias) {
      Scopes.run(() -> out.tensor("bias").detach().zero_());
    }
    child("dropout", new Dropout(dropout, seed));
  }

  /** A mask [n, n] that lets position i attend to positions up to i: true means left out. */
  public static Tensor causalMask(long n) {
    return Scopes.tensor(
        () -> torch.ones(new long[] {n, n}, new TensorOptions(ScalarType.Bool)).triu(1));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(() -> attention(x, x, x, null, null, context));
  }

  /** As the method with a context, each part in its own mode. */
  public Tensor attend(
      Tensor query,
      Tensor key,
      Tensor value,
      @Nullable Tensor keyPaddingMask,
      @Nullable Tensor attentionMask) {
    return attend(query, key, value, keyPaddingMask, attentionMask, ForwardContext.AS_IS);
  }

  /**
   * Attention with masks. A query that may attend to nothing gets NaN or zeros, as libtorch's
   * kernel decides: mask so that each has a key.
   *
   * @param query [N, L, E]
   * @param key [N, S, E]
   * @param value [N, S, E]
   * @param keyPaddingMask bool [N, S], true means the key is padding; or null
   * @param attentionMask bool (true means left out) or floating point (added to the scores), [L,
   *     S], [N, L, S] or [N * heads, L, S]; or null
   * @return [N, L, E]
   */
  public Tensor attend(
      Tensor query,
      Tensor key,
      Tensor value,
      @Nullable Tensor keyPaddingMask,
      @Nullable Tensor attentionMask,
      ForwardContext context) {
    checkShapes(query, key, value);
    Tensor out =
        Scopes.tensor(() -> attention(query, key, value, keyPaddingMask, attentionMask, context));
    return finish(query, out, context);
  }

  private void checkShapes(Tensor query, Tensor key, Tensor value) {
    boolean fits =
        query.dim() == 3
            && key.dim() == 3
            && query.size(2) == size
            && key.size(2) == size
            && query.size(0) == key.size(0)
            && Arrays.equals(key.shape(), value.shape());
    if (!fits) {
      throw new OutriggerException(
          "Attention takes query [N, L, "
              + size
              + "] and key and value [N, S, "
              + size
              + "], not "
              + Arrays.toString(query.shape())
              + ", "
              + Arrays.toString(key.shape())
              + " and "
              + Arrays.toString(value.shape())
              + ".");
    }
  }

  private Tensor attention(
      Tensor query,
      Tensor key,
      Tensor value,
      @Nullable Tensor padding,
      @Nullable Tensor attention,
      ForwardContext context) {
    checkShapes(query, key, value);
    Tensor q = split(query, 0, context);
    Tensor k = split(key, 1, context);
    Tensor v = split(value, 2, context);
    Tensor bias = bias(padding, attention, q, key.size(1));
    Tensor mixed;
    if (get("dropout") instanceof Dropout dropout && dropout.p() > 0 && context.training(dropout)) {
      // The fused kernel would draw from libtorch's global generator.
      Tensor scores =
          torch.matmul(q, k.transpose(-2, -1)).mul(new Scalar(1 / Math.sqrt(q.size(-1))));
      Tensor weights = (bias == null ? scores : scores.add(bias)).softmax(-1);
      mixed = torch.matmul(dropout.forward(weights, context), v);
    } else if (bias == null) {
      mixed = torch.scaled_dot_product_attention(q, k, v);
    } else {
      mixed =
          torch.scaled_dot_product_attention(
              q, k, v, new TensorOptional(bias), 0, false, new DoubleOptional(), false);
    }
    Tensor joined = mixed.transpose(1, 2).reshape(query.size(0), query.size(1), size);
    return get("out_proj").forward(joined, context);
  }

  /** Projects and splits into heads: [N, L, E] to [N, heads, L, E / heads]. */
  private Tensor split(Tensor x, long part, ForwardContext context) {
    Tensor weight = context.tensor(this, "in_proj_weight").narrow(0, part * size, size);
    Tensor projected =
        has("in_proj_bias")
            ? torch.linear(
                x,
                weight,
                new TensorOptional(
                    context.tensor(this, "in_proj_bias").narrow(0, part * size, size)))
            : torch.linear(x, weight);
    return projected.reshape(x.size(0), x.size(1), heads, size / heads).transpose(1, 2);
  }

  /** Both masks as one term that is added to the scores. */
  private @Nullable Tensor bias(
      @Nullable Tensor padding, @Nullable Tensor attention, Tensor q, long keys) {
    long rows = q.size(0);
    Tensor bias = null;
    if (attention != null) {
      Tensor added = added(attention, q);
      if (attention.dim() == 2) {
        bias = added;
      } else if (attention.size(0) == rows * heads && attention.size(0) != rows) {
        bias = added.reshape(rows, heads, attention.size(1), keys);
      } else {
        bias = added.unsqueeze(1);
      }
    }
    if (padding != null) {
      if (!Arrays.equals(padding.shape(), new long[] {rows, keys})) {
        throw new OutriggerException(
            "The key padding mask has shape "
                + Arrays.toString(padding.shape())
                + ", but ["
                + rows
                + ", "
                + keys
                + "] is needed.");
      }
      Tensor added = added(padding, q).reshape(rows, 1, 1, keys);
      bias =
          bias == null
              ? added.expand(new long[] {rows, heads, q.size(2), keys}, false)
              : bias.add(added);
    }
    return bias;
  }

  private static Tensor added(Tensor mask, Tensor like) {
    if (mask.is_floating_point()) {
      return mask.to(like.scalar_type());
    }
    return torch
        .zeros(mask.shape(), new TensorOptions(like.scalar_type().intern()))
        .to(like.device(), like.scalar_type())
        .masked_fill_(mask.to(ScalarType.Bool), new Scalar(Double.NEGATIVE_INFINITY));
  }

  @Override
  public String toString() {
    return "MultiheadAttention(" + size + ", " + heads + " heads)";
  }
}
