package org.outrigger.core.zoo;

import java.util.Arrays;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Embedding;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.LayerNorm;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * CLIP's text tower with Hugging Face's names: text_model.embeddings.token_embedding,
 * .position_embedding, text_model.encoder.layers.0..., text_model.final_layer_norm,
 * text_projection. A token sees only those before it, and the output at the end-of-text token
 * stands for the text, so what follows that token has no influence.
 */
public final class ClipText extends TextTower {
  /** What old configurations say in place of the end-of-text token. */
  private static final int LARGEST = 2;

  private final int vocabulary;
  private final int context;
  private final int width;
  private final int endOfText;

  public ClipText(ClipConfig config, Rng rng) {
    ClipConfig.Encoder sizes = config.text();
    vocabulary = config.vocabulary();
    context = config.context();
    width = sizes.width();
    endOfText = config.endOfText();
    child("text_model", new Model(config, rng));
    child("text_projection", projection(width, config.projection(), rng));
  }

  /** A projection without bias that starts as CLIP's do. */
  static Linear projection(int width, int projection, Rng rng) {
    Linear linear = new Linear(width, projection, false, rng);
    Scopes.run(
        () ->
            linear
                .tensor("weight")
                .detach()
                .copy_(Init.normal(rng, Math.pow(width, -0.5), projection, width)));
    return linear;
  }

  private static final class Model extends Layer {
    Model(ClipConfig config, Rng rng) {
      int width = config.text().width();
      child("embeddings", new Embeddings(config.vocabulary(), config.context(), width, rng));
      child("encoder", ClipBlock.encoder(config.text(), true, rng));
      child("final_layer_norm", new LayerNorm(width, config.text().epsilon(), true));
    }

    /** Embedded tokens [N, L, W] to outputs of that shape. */
    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> get("final_layer_norm").forward(get("encoder").forward(x, context), context));
    }
  }

  private static final class Embeddings extends Layer {
    Embeddings(int vocabulary, int context, int width, Rng rng) {
      child("token_embedding", small(new Embedding(vocabulary, width, rng), 0.02));
      child("position_embedding", small(new Embedding(context, width, rng), 0.01));
    }

    private static Embedding small(Embedding table, double std) {
      Scopes.run(() -> table.tensor("weight").detach().mul_(new Scalar(std)));
      return table;
    }

    @Override
    protected Tensor compute(Tensor tokens, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            Tensor positions =
                torch.arange(new Scalar(tokens.size(1)), new TensorOptions(ScalarType.Long));
            return get("token_embedding")
                .forward(tokens, context)
                .add(
                    get("position_embedding")
                        .forward(positions.to(tokens.device(), ScalarType.Long), context));
          });
    }
  }

  @Override
  public int context() {
    return context;
  }

  @Override
  public int width() {
    return width;
  }

  @Override
  protected Tensor encode(Tensor tokens, @Nullable Tensor added, ForwardContext passing) {
    check(tokens);
    Layer model = get("text_model");
    Tensor embedded = model.get("embeddings").forward(tokens, passing);
    Tensor outputs = model.forward(added == null ? embedded : embedded.add(added), passing);
    Tensor at = end(tokens).reshape(-1, 1, 1).expand(new long[] {-1, 1, width}, false);
    return get("text_projection").forward(outputs.gather(1, at).squeeze(1), passing);
  }

  private void check(Tensor tokens) {
    if (tokens.dim() != 2
        || tokens.numel() == 0
        || tokens.size(1) > context
        || tokens.scalar_type().intern() != ScalarType.Long) {
      throw new OutriggerException(
          "The text tower takes int64 tokens [N, L] with N from 1 and L from 1 to "
              + context
              + ", not a "
              + tokens.scalar_type().intern()
              + " tensor of shape "
              + Arrays.toString(tokens.shape())
              + ".");
    }
    long least = tokens.min().item_long();
    long most = tokens.max().item_long();
    if (least < 0 || most >= vocabulary) {
      throw new OutriggerException(
          "The tokens run from "
              + least
              + " to "
              + most
              + ", but the text tower knows 0 to "
              + (vocabulary - 1)
              + ": use the tokenizer of this very model.");
    }
  }

  /** The position of each text's first end-of-text token, int64 [N]. */
  private Tensor end(Tensor tokens) {
    Tensor is =
        endOfText == LARGEST
            ? tokens.eq(tokens.amax(new long[] {1}, true))
            : tokens.eq(new Scalar(endOfText));
    // Among positions counted from the end, the largest one is the first.
    Tensor fromEnd =
        torch
            .arange(
                new Scalar(tokens.size(1)),
                new Scalar(0),
                new Scalar(-1),
                new TensorOptions(ScalarType.Long))
            .to(tokens.device(), ScalarType.Long);
    Tensor last = is.to(ScalarType.Long).mul(fromEnd).amax(new long[] {1}, false);
    if (last.min().item_long() == 0) {
      throw new OutriggerException(
          "A text does not end with the end-of-text token "
              + endOfText
              + ": use the tokenizer of this very model, with its special tokens.");
    }
    return last.neg().add(new Scalar(tokens.size(1)));
  }

  @Override
  public String toString() {
    return "ClipText(" + vocabulary + " tokens, up to " + context + ")";
  }
}
