package org.outrigger.core.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;
import org.outrigger.core.OutriggerException;

/**
 * Opens Hugging Face's {@code tokenizer.json}. The module outrigger-text offers one through {@link
 * ServiceLoader}; finding it loads no native library.
 */
public interface TokenizerOpener {
  /**
   * Opens a file.
   *
   * @throws OutriggerException that says what is wrong and what to do
   */
  Tokenizer open(Path file);

  /**
   * Opens the tokenizer of a model.
   *
   * @param path a {@code tokenizer.json} or the folder that holds it
   * @throws OutriggerException if it is missing or damaged, or no opener is on the class path
   */
  static Tokenizer find(Path path) {
    Path file = Files.isDirectory(path) ? path.resolve("tokenizer.json") : path;
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException(
          "There is no file " + file + ": a model of texts comes with a tokenizer.json.");
    }
    return ServiceLoader.load(TokenizerOpener.class, TokenizerOpener.class.getClassLoader())
        .findFirst()
        .orElseThrow(
            () ->
                new OutriggerException(
                    file + " needs the module outrigger-text: put it on the class path."))
        .open(file);
  }
}
