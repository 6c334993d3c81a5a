package org.outrigger.core.zoo;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Conv2d;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.LayerNorm;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * CLIP's image tower, a vision transformer with Hugging Face's names:
 * vision_model.embeddings.class_embedding, .patch_embedding, .position_embedding,
 * vision_model.pre_layrnorm (so spelled), vision_model.encoder.layers.0...,
 * vision_model.post_layernorm, visual_projection. Images [N, C, H, W] to embeddings [N, P], which
 * are not yet of unit length.
 */
public final class ClipVision extends Layer {
  public ClipVision(ClipConfig config, Rng rng) {
    child("vision_model", new Model(config, rng));
    child(
        "visual_projection",
        ClipText.projection(config.vision().width(), config.projection(), rng));
  }

  private static final class Model extends Layer {
    Model(ClipConfig config, Rng rng) {
      ClipConfig.Encoder sizes = config.vision();
      child("embeddings", new Embeddings(config, rng));
      child("pre_layrnorm", new LayerNorm(sizes.width(), sizes.epsilon(), true));
      child("encoder", ClipBlock.encoder(sizes, false, rng));
      child("post_layernorm", new LayerNorm(sizes.width(), sizes.epsilon(), true));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor tokens = get("embeddings").forward(x, context);
            Tensor mixed =
                get("encoder").forward(get("pre_layrnorm").forward(tokens, context), context);
            return get("post_layernorm").forward(mixed.select(1, 0), context);
          });
    }
  }

  private static final class Embeddings extends Layer {
    Embeddings(ClipConfig config, Rng rng) {
      int width = config.vision().width();
      int patch = config.patch();
      int side = config.image() / patch;
      Scopes.run(
          () -> parameter("class_embedding", Init.normal(rng, Math.pow(width, -0.5), width)));
      child(
          "patch_embedding",
          new Conv2d(
              Conv2d.Options.of(config.channels(), width, patch).stride(patch).bias(false), rng));
      child("position_embedding", new Positions(side * side + 1, width, rng));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor patches =
                get("patch_embedding").forward(x, context).flatten(2, -1).transpose(1, 2);
            Tensor first =
                context
                    .tensor(this, "class_embedding")
                    .expand(new long[] {x.size(0), 1, -1}, false);
            Tensor tokens = torch.cat(new TensorVector(first, patches), 1);
            return get("position_embedding").forward(tokens, context);
          });
    }
  }

  /** Adds each position's vector; {@code weight} [tokens, W]. */
  private static final class Positions extends Layer {
    Positions(int tokens, int width, Rng rng) {
      Scopes.run(() -> parameter("weight", Init.normal(rng, 0.02, tokens, width)));
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      Tensor weight = context.tensor(this, "weight");
      if (x.size(1) != weight.size(0)) {
        throw new OutriggerException(
            "An image of this size has "
                + (x.size(1) - 1)
                + " patches, but this CLIP takes images of "
                + (weight.size(0) - 1)
                + " patches: resize the images.");
      }
      return x.add(weight);
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(
        () -> get("visual_projection").forward(get("vision_model").forward(x, context), context));
  }
}
