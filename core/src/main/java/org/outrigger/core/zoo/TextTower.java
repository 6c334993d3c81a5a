package org.outrigger.core.zoo;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;

/**
 * Texts to points of a space that images share: int64 tokens [N, L] to embeddings [N, P], which are
 * not yet of unit length. Something can be added to the embedded tokens, which is how prompts are
 * learned.
 */
public abstract class TextTower extends Layer {
  /** The most tokens of a text. */
  public abstract int context();

  /** The size of an embedded token. */
  public abstract int width();

  /**
   * The embeddings, in the enclosing scope.
   *
   * @param tokens int64 [N, L], L up to {@link #context()}
   * @param added to the embedded tokens, [N, L, {@link #width()}] or [L, {@link #width()}]; null
   *     for nothing
   * @return [N, P]
   */
  protected abstract Tensor encode(Tensor tokens, @Nullable Tensor added, ForwardContext context);

  @Override
  protected final Tensor compute(Tensor tokens, ForwardContext context) {
    return Scopes.tensor(() -> encode(tokens, null, context));
  }

  /**
   * Runs the tower with a term added to the embedded tokens.
   *
   * @param tokens int64 [N, L]
   * @param added [N, K, {@link #width()}] or [K, {@link #width()}] for each position up to K, which
   *     is L or more
   * @return [N, P], owned by the enclosing scope
   */
  public final Tensor forward(Tensor tokens, Tensor added, ForwardContext context) {
    return Scopes.tensor(
        () -> encode(tokens, added.narrow(added.dim() - 2, 0, tokens.size(1)), context));
  }
}
