package org.outrigger.claims.setup;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Embedding;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.zoo.TextTower;

/** A text tower for captions of two words: their vectors of 64, one after the other, and an MLP. */
public final class WordPairs extends TextTower {
  private static final int WIDTH = 64;

  /**
   * @param words how many there are
   * @param projection the dimension of an embedding
   */
  public WordPairs(int words, int projection, Rng rng) {
    child("words", new Embedding(words, WIDTH, rng));
    child(
        "mlp",
        new Sequential(
            new Linear(2 * WIDTH, 128, rng), Activation.relu(), new Linear(128, projection, rng)));
  }

  @Override
  public int context() {
    return 2;
  }

  @Override
  public int width() {
    return WIDTH;
  }

  @Override
  protected Tensor encode(Tensor tokens, @Nullable Tensor added, ForwardContext context) {
    Tensor words = get("words").forward(tokens, context);
    return get("mlp").forward((added == null ? words : words.add(added)).flatten(1, 2), context);
  }
}
