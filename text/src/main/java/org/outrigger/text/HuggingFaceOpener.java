package org.outrigger.text;

import java.nio.file.Path;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.data.TokenizerOpener;

/** Opens {@code tokenizer.json}; the native library is loaded with the first. */
public final class HuggingFaceOpener implements TokenizerOpener {
  @Override
  public Tokenizer open(Path file) {
    return HuggingFaceText.open(file);
  }
}
