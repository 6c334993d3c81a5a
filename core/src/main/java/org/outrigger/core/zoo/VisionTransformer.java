package org.outrigger.core.zoo;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.LayerNorm;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * The vision transformer with timm's names: cls_token, pos_embed, patch_embed.proj, blocks.0.norm1,
 * .attn.qkv, .attn.proj, .norm2, .mlp.fc1, .mlp.fc2, ..., norm, head. The class token's output is
 * the feature. Dosovitskiy et al., ICLR 2021.
 */
final class VisionTransformer extends Layer {
  VisionTransformer(Settings settings, long[] inputShape, int classes, long seed, Rng rng) {
    int patch = settings.integer("patch");
    int width = settings.integer("width");
    int depth = settings.integer("depth");
    int heads = settings.integer("heads");
    double dropout = settings.number("dropout");
    HyperParameter.atLeast("patch", patch, 1);
    HyperParameter.between("depth", depth, 1, 1000);
    HyperParameter.require(
        heads >= 1 && width >= 1 && width % heads == 0, "heads", heads, "a divisor of " + width);
    HyperParameter.positive("mlp", settings.number("mlp"));
    HyperParameter.require(dropout >= 0 && dropout < 1, "dropout", dropout, "0 to below 1");
    if (inputShape[1] % patch != 0 || inputShape[2] % patch != 0) {
      throw new OutriggerException(
          "Images of "
              + inputShape[1]
              + "x"
              + inputShape[2]
              + " pixels do not divide into patches of "
              + patch
              + ": choose another setting patch.");
    }
    long tokens = inputShape[1] / patch * (inputShape[2] / patch) + 1;
    int hidden = (int) Math.round(width * settings.number("mlp"));
    Scopes.run(
        () -> {
          parameter("cls_token", Init.normal(rng, 1e-6, 1, 1, width));
          parameter("pos_embed", Init.truncatedNormal(rng, 0.02, 1, tokens, width));
        });
    child("patch_embed", new PatchEmbed(Math.toIntExact(inputShape[0]), width, patch, rng));
    Layer[] blocks = new Layer[depth];
    for (int i = 0; i < depth; i++) {
      blocks[i] =
          new VitBlock(width, heads, hidden, dropout, Rng.derive(seed, "dropout " + i), rng);
    }
    child("blocks", new Sequential(blocks));
    child("norm", new LayerNorm(width, 1e-6, true));
    child("head", linear(width, classes, rng));
  }

  /** A linear layer that starts as vision transformers do: truncated normal weights, zero bias. */
  static Linear linear(long in, long out, Rng rng) {
    Linear linear = new Linear(in, out, rng);
    Scopes.run(
        () -> {
          linear.tensor("weight").detach().copy_(Init.truncatedNormal(rng, 0.02, out, in));
          linear.tensor("bias").detach().zero_();
        });
    return linear;
  }

  /** Cuts images into patches and embeds each: [N, C, H, W] to [N, patches, width]. */
  static final class PatchEmbed extends Layer {
    PatchEmbed(int channels, int width, int patch, Rng rng) {
      child("proj", new Conv2d(Conv2d.Options.of(channels, width, patch).stride(patch), rng));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(() -> get("proj").forward(x, context).flatten(2, -1).transpose(1, 2));
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor tokens =
        Scopes.tensor(
            () -> {
              Tensor patches = get("patch_embed").forward(x, context);
              Tensor first =
                  context.tensor(this, "cls_token").expand(new long[] {x.size(0), -1, -1}, false);
              return torch
                  .cat(new TensorVector(first, patches), 1)
                  .add(context.tensor(this, "pos_embed"));
            });
    Tensor mixed = get("blocks").forward(tokens, context);
    release(tokens, x, mixed);
    Tensor normed = get("norm").forward(mixed, context);
    release(mixed, x, normed);
    Tensor feature = normed.select(1, 0);
    release(normed, x, feature);
    Tensor logits = get("head").forward(feature, context);
    release(feature, x, logits);
    return logits;
  }
}
