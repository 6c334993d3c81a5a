package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Dropout;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Identity;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.LayerNorm;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A pre-norm transformer block with timm's names: x + attn(norm1(x)), then x + mlp(norm2(x)), with
 * mlp.fc1, mlp.act, mlp.fc2.
 */
final class VitBlock extends Layer {
  VitBlock(int width, int heads, int hidden, double dropout, long seed, Rng rng) {
    child("norm1", new LayerNorm(width, 1e-6, true));
    child("attn", new VitAttention(width, heads, rng));
    child("drop1", drop(dropout, Rng.derive(seed, "attn")));
    child("norm2", new LayerNorm(width, 1e-6, true));
    Map<String, Layer> mlp = new LinkedHashMap<>();
    mlp.put("fc1", VisionTransformer.linear(width, hidden, rng));
    mlp.put("act", Activation.gelu());
    mlp.put("drop1", drop(dropout, Rng.derive(seed, "mlp 1")));
    mlp.put("fc2", VisionTransformer.linear(hidden, width, rng));
    mlp.put("drop2", drop(dropout, Rng.derive(seed, "mlp 2")));
    child("mlp", new Sequential(mlp));
  }

  private static Layer drop(double p, long seed) {
    return p > 0 ? new Dropout(p, seed) : new Identity();
  }

  /** Attention of timm's names: {@code qkv} in one linear layer, {@code proj} out. */
  static final class VitAttention extends Layer {
    private final int heads;

    VitAttention(int width, int heads, Rng rng) {
      this.heads = heads;
      child("qkv", VisionTransformer.linear(width, 3L * width, rng));
      child("proj", VisionTransformer.linear(width, width, rng));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      long rows = x.size(0);
      long tokens = x.size(1);
      long width = x.size(2);
      Tensor mixed =
          Scopes.tensor(
              () -> {
                Tensor parts =
                    get("qkv")
                        .forward(x, context)
                        .reshape(rows, tokens, 3, heads, width / heads)
                        .permute(2, 0, 3, 1, 4);
                return torch
                    .scaled_dot_product_attention(
                        parts.select(0, 0), parts.select(0, 1), parts.select(0, 2))
                    .transpose(1, 2)
                    .reshape(rows, tokens, width);
              });
      Tensor out = get("proj").forward(mixed, context);
      release(mixed, x, out);
      return out;
    }

    @Override
    public String toString() {
      return "VitAttention(" + heads + " heads)";
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor middle = add(x, branch(x, "norm1", "attn", "drop1", context));
    Tensor out = add(middle, branch(middle, "norm2", "mlp", "", context));
    release(middle, x, out);
    return out;
  }

  private Tensor branch(Tensor x, String norm, String inner, String drop, ForwardContext context) {
    Tensor normed = get(norm).forward(x, context);
    Tensor value = get(inner).forward(normed, context);
    release(normed, x, value);
    if (drop.isEmpty()) {
      return value;
    }
    Tensor dropped = get(drop).forward(value, context);
    release(value, x, dropped);
    return dropped;
  }

  private static Tensor add(Tensor x, Tensor branch) {
    Tensor sum = x.add(branch);
    release(branch, x, sum);
    return sum;
  }
}
