package org.outrigger.adapt.edge;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;

/** The blocks of a transformer, which get further tokens after their own: {@code prompt} [K, W]. */
final class TokenPrompt extends Layer {
  private static final String BLOCKS = "blocks";

  private boolean on;

  /**
   * @param blocks [N, T, W] to [N, T, W]; owned from then on
   */
  TokenPrompt(Layer blocks, Tensor prompt) {
    parameter("prompt", prompt);
    child(BLOCKS, blocks);
  }

  /** Whether the tokens are there. */
  void on(boolean value) {
    on = value;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (!on) {
      return get(BLOCKS).forward(x, context);
    }
    return Scopes.tensor(
        () -> {
          Tensor prompt = context.tensor(this, "prompt");
          Tensor more = prompt.unsqueeze(0).expand(new long[] {x.size(0), -1, -1}, false);
          Tensor mixed = get(BLOCKS).forward(torch.cat(new TensorVector(x, more), 1), context);
          return mixed.narrow(1, 0, x.size(1));
        });
  }
}
