package org.outrigger.select.data;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Self-BLEU: the mean over samples of the BLEU of a sample against all others; lower means more
 * diverse. Zhu et al., Texygen, SIGIR 2018. N-grams that the others have are found through the two
 * largest counts of each, so that the work grows with the number of tokens, not of pairs.
 */
public final class SelfBleu {
  private SelfBleu() {}

  /**
   * Self-BLEU of a seeded subsample.
   *
   * @param tokens one sequence a sample, two or more, none empty
   * @param order the longest N-grams, 4 as a rule
   * @param most samples to take; fewer are all taken
   * @param seed of the subsample
   */
  public static double of(int[][] tokens, int order, int most, long seed) {
    if (tokens.length <= most) {
      return of(tokens, order);
    }
    try (Rng rng = Rng.named(seed, "self-BLEU")) {
      int[] rows =
          Scopes.scoped(() -> Tensors.ints(rng.permutation(tokens.length).narrow(0, 0, most)));
      return of(Arrays.stream(rows).sorted().mapToObj(i -> tokens[i]).toArray(int[][]::new), order);
    }
  }

  /**
   * Self-BLEU of all samples: clipped precisions, those of N-grams of two and more smoothed as
   * {@code (match + 1) / (total + 1)}, their geometric mean, and the brevity penalty with the
   * closest length of another sample, the shorter of two equally close ones.
   */
  public static double of(int[][] tokens, int order) {
    if (tokens.length < 2) {
      throw new OutriggerException("Self-BLEU compares samples: two or more are needed.");
    }
    if (order < 1) {
      throw new OutriggerException("The order of BLEU must be 1 or more, not " + order + ".");
    }
    for (int i = 0; i < tokens.length; i++) {
      if (tokens[i].length == 0) {
        throw new OutriggerException("Sample " + i + " has no tokens: leave empty samples out.");
      }
    }
    double[] logs = new double[tokens.length];
    for (int n = 1; n <= order; n++) {
      precisions(tokens, n, order, logs);
    }
    int[] lengths = Arrays.stream(tokens).mapToInt(t -> t.length).sorted().toArray();
    double sum = 0;
    for (int i = 0; i < tokens.length; i++) {
      int own = tokens[i].length;
      int reference = closest(lengths, own);
      double brevity = own >= reference ? 0 : 1 - (double) reference / own;
      sum += Math.exp(logs[i] + brevity);
    }
    return sum / tokens.length;
  }

  /** The two largest counts of an N-gram in one sample, and whose the largest is. */
  private static final class Counts {
    int most;
    int owner = -1;
    int second;

    void add(int sample, int count) {
      if (count > most) {
        second = most;
        most = count;
        owner = sample;
      } else {
        second = Math.max(second, count);
      }
    }

    int others(int sample) {
      return sample == owner ? second : most;
    }
  }

  private static void precisions(int[][] tokens, int n, int order, double[] logs) {
    Map<TextMeasures.NGram, Counts> all = new HashMap<>();
    for (int i = 0; i < tokens.length; i++) {
      int sample = i;
      counts(tokens[i], n)
          .forEach(
              (gram, count) -> all.computeIfAbsent(gram, g -> new Counts()).add(sample, count));
    }
    for (int i = 0; i < tokens.length; i++) {
      long match = 0;
      for (Map.Entry<TextMeasures.NGram, Integer> own : counts(tokens[i], n).entrySet()) {
        Counts found = all.get(own.getKey());
        match += found == null ? 0 : Math.min(own.getValue(), found.others(i));
      }
      double total = Math.max(0, tokens[i].length - n + 1);
      logs[i] += Math.log(n == 1 ? match / total : (match + 1) / (total + 1)) / order;
    }
  }

  private static Map<TextMeasures.NGram, Integer> counts(int[] sample, int n) {
    Map<TextMeasures.NGram, Integer> counts = new HashMap<>();
    IntStream.rangeClosed(0, sample.length - n)
        .forEach(i -> counts.merge(TextMeasures.NGram.of(sample, i, n), 1, Integer::sum));
    return counts;
  }

  /** The length of another sample that is closest to this one's own, which is among them. */
  private static int closest(int[] sorted, int own) {
    int at = Arrays.binarySearch(sorted, own);
    if ((at > 0 && sorted[at - 1] == own) || (at + 1 < sorted.length && sorted[at + 1] == own)) {
      return own;
    }
    int below = at > 0 ? sorted[at - 1] : Integer.MIN_VALUE;
    int above = at + 1 < sorted.length ? sorted[at + 1] : Integer.MAX_VALUE;
    return (long) own - below <= (long) above - own ? below : above;
  }
}
