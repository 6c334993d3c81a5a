package org.outrigger.core.data;

import java.util.List;
import org.bytedeco.pytorch.Tensor;

/** Texts to the tokens that a text tower was trained on. Safe for concurrent use until closed. */
public interface Tokenizer extends AutoCloseable {
  /**
   * The tokens of each text, with the tokens that mark its start and end. Longer texts are cut so
   * that the mark of the end stays; shorter ones are filled up with their last token.
   *
   * @param texts at least one
   * @param context the most tokens of a text
   * @return int64 [N, L], owned by the enclosing scope or the caller; L is the length of the
   *     longest text, at most {@code context}
   * @throws org.outrigger.core.OutriggerException if there is no text
   */
  Tensor encode(List<String> texts, int context);

  @Override
  void close();
}
