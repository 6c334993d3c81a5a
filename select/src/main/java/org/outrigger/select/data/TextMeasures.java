package org.outrigger.select.data;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.zip.Deflater;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Lexical measures of texts and token sequences. */
public final class TextMeasures {
  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{N}]+|[^\\s\\p{L}\\p{N}]");

  private TextMeasures() {}

  /**
   * Texts as tokens, where no tokenizer is at hand: words of letters and digits in lower case, and
   * every other sign on its own; each distinct one has a number.
   */
  public static int[][] tokens(List<String> texts) {
    Map<String, Integer> numbers = new HashMap<>();
    return texts.stream()
        .map(
            text ->
                WORD.matcher(text.toLowerCase(Locale.ROOT))
                    .results()
                    .mapToInt(
                        match -> {
                          Integer next = numbers.size();
                          Integer known = numbers.putIfAbsent(match.group(), next);
                          return known == null ? next : known;
                        })
                    .toArray())
        .toArray(int[][]::new);
  }

  /**
   * Texts as rows of numbers where no model embeds them: how often words occur, each counted in a
   * column that its own hash names, under the root, so that frequent words do not rule.
   *
   * @param texts none empty
   * @param columns d, 1 or more
   * @return float64 [n, d], no row of norm 0
   */
  public static Tensor hashedWords(List<String> texts, int columns) {
    requireText(texts);
    double[] counts = new double[Math.multiplyExact(texts.size(), columns)];
    for (int i = 0; i < texts.size(); i++) {
      int row = i * columns;
      WORD.matcher(texts.get(i).toLowerCase(Locale.ROOT))
          .results()
          .forEach(word -> counts[row + Math.floorMod(word.group().hashCode(), columns)]++);
    }
    return Scopes.tensor(() -> Tensors.of(counts, texts.size(), columns).sqrt());
  }

  /**
   * distinct-N: unique N-grams over all N-grams of the set. Li et al., NAACL 2016.
   *
   * @param tokens one sequence a sample
   * @param order N, 1 or more
   * @return in [0, 1]; 0 if there is no N-gram
   */
  public static double distinct(int[][] tokens, int order) {
    if (order < 1) {
      throw new OutriggerException("N-grams need N of 1 or more, not " + order + ".");
    }
    Set<NGram> unique = new HashSet<>();
    long all = 0;
    for (int[] sample : tokens) {
      for (int i = 0; i + order <= sample.length; i++) {
        unique.add(NGram.of(sample, i, order));
        all++;
      }
    }
    return all == 0 ? 0 : (double) unique.size() / all;
  }

  /**
   * Deflated bytes over raw bytes of the newline-joined texts, at level 9. Smaller means more
   * repetition. Compare figures of one build of Java only: deflaters differ.
   */
  public static double compressionRatio(List<String> texts) {
    requireText(texts);
    byte[] raw = String.join("\n", texts).getBytes(StandardCharsets.UTF_8);
    return (double) deflated(raw) / raw.length;
  }

  /** Deflated bits for each character of the newline-joined texts. */
  public static double bitsPerCharacter(List<String> texts) {
    requireText(texts);
    String joined = String.join("\n", texts);
    long characters = joined.codePoints().count();
    return 8.0 * deflated(joined.getBytes(StandardCharsets.UTF_8)) / characters;
  }

  private static long deflated(byte[] raw) {
    Deflater deflater = new Deflater(Deflater.BEST_COMPRESSION);
    try {
      deflater.setInput(raw);
      deflater.finish();
      byte[] buffer = new byte[8192];
      long bytes = 0;
      while (!deflater.finished()) {
        bytes += deflater.deflate(buffer);
      }
      return bytes;
    } finally {
      deflater.end();
    }
  }

  /** The mean number of tokens. */
  public static double meanLength(int[][] tokens) {
    return Arrays.stream(tokens).mapToInt(sample -> sample.length).average().orElse(0);
  }

  /** Demands that no text is empty. */
  static void requireText(List<String> texts) {
    if (texts.isEmpty()) {
      throw new OutriggerException("There is no text to measure.");
    }
    for (int i = 0; i < texts.size(); i++) {
      if (texts.get(i).isBlank()) {
        throw new OutriggerException("Text " + i + " is empty: leave empty texts out.");
      }
    }
  }

  /** Some tokens in a row, to be looked up. */
  record NGram(List<Integer> tokens) {
    static NGram of(int[] sample, int from, int order) {
      return new NGram(Arrays.stream(sample, from, from + order).boxed().toList());
    }
  }
}
