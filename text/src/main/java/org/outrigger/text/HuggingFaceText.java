package org.outrigger.text;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.torch.Tensors;

/**
 * A tokenizer of Hugging Face's format, read by their own library, so that tokens are the ones that
 * a model was trained with. The native library comes with the jar and is unpacked once; nothing is
 * fetched from the network.
 */
public final class HuggingFaceText implements Tokenizer {
  private final HuggingFaceTokenizer tokenizer;
  private final Path file;

  private HuggingFaceText(HuggingFaceTokenizer tokenizer, Path file) {
    this.tokenizer = tokenizer;
    this.file = file;
  }

  /**
   * Opens a {@code tokenizer.json}.
   *
   * @throws OutriggerException if it is missing or damaged, or the native library cannot be loaded
   */
  public static HuggingFaceText open(Path file) {
    offline();
    try (InputStream in = Files.newInputStream(file)) {
      // Cutting and filling up are done here, whatever the file says.
      Map<String, String> options =
          Map.of("addSpecialTokens", "true", "truncation", "false", "padding", "false");
      return new HuggingFaceText(HuggingFaceTokenizer.newInstance(in, options), file);
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read: " + e.getMessage(), e);
    } catch (LinkageError | ai.djl.engine.EngineException e) {
      throw new OutriggerException(
          "The native library of the tokenizers could not be loaded: the jar has it for 64-bit"
              + " Linux, Windows and macOS (ARM), and unpacks it below the folder that"
              + " DJL_CACHE_DIR names, or the home folder, which must be writable.\n"
              + e,
          e);
    } catch (RuntimeException e) {
      throw new OutriggerException(
          file
              + " is no tokenizer that can be read: the file is damaged or of another format.\n"
              + e.getMessage(),
          e);
    }
  }

  /** The library would otherwise look for builds for CUDA and tell its makers that it was used. */
  private static void offline() {
    for (Map.Entry<String, String> property :
        Map.of("ai.djl.offline", "true", "OPT_OUT_TRACKING", "true", "RUST_FLAVOR", "cpu")
            .entrySet()) {
      if (System.getProperty(property.getKey()) == null) {
        System.setProperty(property.getKey(), property.getValue());
      }
    }
  }

  @Override
  public Tensor encode(List<String> texts, int context) {
    if (texts.isEmpty()) {
      throw new OutriggerException("There is no text to turn into tokens: give at least one.");
    }
    if (context < 2) {
      throw new OutriggerException(
          "A text of " + context + " tokens has no room for the marks of its start and end.");
    }
    long[][] rows =
        Arrays.stream(tokenizer.batchEncode(texts)).map(Encoding::getIds).toArray(long[][]::new);
    int longest = Arrays.stream(rows).mapToInt(row -> row.length).max().orElse(0);
    if (longest < 2) {
      throw new OutriggerException(
          file + " adds no marks of a text's start and end: is it the tokenizer of a CLIP?");
    }
    int length = Math.min(context, longest);
    long[] tokens = new long[rows.length * length];
    for (int i = 0; i < rows.length; i++) {
      long end = rows[i][rows[i].length - 1];
      int kept = Math.min(rows[i].length, length);
      Arrays.fill(tokens, i * length, (i + 1) * length, end);
      System.arraycopy(rows[i], 0, tokens, i * length, kept);
      tokens[i * length + kept - 1] = end;
    }
    return Tensors.of(tokens, rows.length, length);
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
