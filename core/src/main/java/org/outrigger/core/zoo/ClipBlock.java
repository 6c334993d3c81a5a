package org.outrigger.core.zoo;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.LayerNorm;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A pre-norm transformer block with Hugging Face's names: layer_norm1, self_attn.q_proj, .k_proj,
 * .v_proj, .out_proj, layer_norm2, mlp.fc1, mlp.fc2.
 */
final class ClipBlock extends Layer {
  private ClipBlock(ClipConfig.Encoder sizes, boolean causal, Rng rng) {
    child("self_attn", new Attention(sizes.width(), sizes.heads(), causal, rng));
    child("layer_norm1", new LayerNorm(sizes.width(), sizes.epsilon(), true));
    Map<String, Layer> mlp = new LinkedHashMap<>();
    mlp.put("fc1", VisionTransformer.linear(sizes.width(), sizes.hidden(), rng));
    mlp.put("act", new Activation(Activation.Kind.of(sizes.activation())));
    mlp.put("fc2", VisionTransformer.linear(sizes.hidden(), sizes.width(), rng));
    child("mlp", new Sequential(mlp));
    child("layer_norm2", new LayerNorm(sizes.width(), sizes.epsilon(), true));
  }

  /**
   * The stack of blocks, named layers.0, layers.1, ...
   *
   * @param causal whether a token sees only those before it and itself
   */
  static Layer encoder(ClipConfig.Encoder sizes, boolean causal, Rng rng) {
    Layer[] blocks = new Layer[sizes.layers()];
    for (int i = 0; i < blocks.length; i++) {
      blocks[i] = new ClipBlock(sizes, causal, rng);
    }
    return new Sequential(Map.of("layers", new Sequential(blocks)));
  }

  private static final class Attention extends Layer {
    private final int heads;
    private final boolean causal;

    Attention(int width, int heads, boolean causal, Rng rng) {
      this.heads = heads;
      this.causal = causal;
      for (String name : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
        child(name, VisionTransformer.linear(width, width, rng));
      }
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor mixed =
                torch.scaled_dot_product_attention(
                    split("q_proj", x, context),
                    split("k_proj", x, context),
                    split("v_proj", x, context),
                    new TensorOptional(),
                    0,
                    causal,
                    new DoubleOptional(),
                    false);
            return get("out_proj").forward(mixed.transpose(1, 2).reshape(x.shape()), context);
          });
    }

    /** [N, L, W] to [N, heads, L, W / heads]. */
    private Tensor split(String projection, Tensor x, ForwardContext context) {
      return get(projection)
          .forward(x, context)
          .reshape(x.size(0), x.size(1), heads, x.size(2) / heads)
          .transpose(1, 2);
    }

    @Override
    public String toString() {
      return "Attention(" + heads + " heads" + (causal ? ", causal)" : ")");
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          Tensor middle = x.add(branch(x, "layer_norm1", "self_attn", context));
          return middle.add(branch(middle, "layer_norm2", "mlp", context));
        });
  }

  private Tensor branch(Tensor x, String norm, String inner, ForwardContext context) {
    return get(inner).forward(get(norm).forward(x, context), context);
  }
}
