package org.outrigger.evaluate.stream;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.HyperParameter;

/** Test data in which some classes are more frequent than others. */
public final class LabelShift {
  private static final int ATTEMPTS = 10_000;

  private LabelShift() {}

  /**
   * Class frequencies in proportion to draws from Zipf's law, drawn anew while the largest tenth of
   * the classes (at least one) holds nine tenths of the rows or more. Boudiaf et al.,
   * "Parameter-free Online Test-time Adaptation", CVPR 2022.
   *
   * @param classes 2 or more
   * @param exponent of Zipf's law, above 1; the paper's is 2
   * @return [classes], sum 1
   * @throws OutriggerException if no draw is even enough
   */
  public static double[] zipf(int classes, double exponent, long seed) {
    HyperParameter.atLeast("classes", classes, 2);
    HyperParameter.require(
        exponent > 1 && Double.isFinite(exponent), "exponent", exponent, "a number above 1");
    OrderDraws draws = new OrderDraws(seed, "zipf");
    int top = Math.max(1, classes / 10);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      double[] frequencies = new double[classes];
      Arrays.setAll(frequencies, c -> draws.zipf(exponent));
      double sum = Arrays.stream(frequencies).sum();
      double largest = Arrays.stream(frequencies).sorted().skip(classes - (long) top).sum();
      if (largest < 0.9 * sum) {
        return Arrays.stream(frequencies).map(frequency -> frequency / sum).toArray();
      }
    }
    throw new OutriggerException(
        "No class frequencies with the Zipf exponent "
            + exponent
            + " leave a tenth of the rows to nine tenths of the "
            + classes
            + " classes: choose a larger exponent.");
  }

  /**
   * Class frequencies that fall geometrically, {@code imbalance^(-c / (C - 1))} for class c.
   *
   * @param classes C, 2 or more
   * @param imbalance how many times as frequent the first class is as the last, above 0; below 1
   *     the last is the most frequent
   * @return [C], sum 1
   */
  public static double[] longTail(int classes, double imbalance) {
    HyperParameter.atLeast("classes", classes, 2);
    HyperParameter.positive("imbalance", imbalance);
    double[] frequencies = new double[classes];
    Arrays.setAll(frequencies, c -> Math.pow(imbalance, -c / (classes - 1.0)));
    double sum = Arrays.stream(frequencies).sum();
    return Arrays.stream(frequencies).map(frequency -> frequency / sum).toArray();
  }

  /**
   * Draws rows one by one: first a class, then the next of its rows in a random order, which begins
   * anew when all have come. Rows of unknown class are left out.
   *
   * @param labels [N], below the number of frequencies
   * @param frequencies of the classes, not below 0, any sum above 0
   * @param rows how many to draw, 1 or more
   * @return positions in {@code labels}, [rows]
   * @throws OutriggerException if a class that is to come has no row
   */
  public static int[] rows(int[] labels, double[] frequencies, int rows, long seed) {
    HyperParameter.atLeast("rows", rows, 1);
    double[] until = frequencies.clone();
    Arrays.parallelPrefix(until, Double::sum);
    int classes = frequencies.length;
    double all = classes == 0 ? 0 : until[classes - 1];
    if (!(all > 0) || Double.isInfinite(all) || Arrays.stream(frequencies).anyMatch(f -> f < 0)) {
      throw new OutriggerException(
          "Class frequencies "
              + Arrays.toString(frequencies)
              + " are out of range: give numbers of 0 or more with a sum above 0.");
    }
    OrderDraws draws = new OrderDraws(seed, "label shift");
    int[][] members = new int[classes][];
    for (int c = 0; c < classes; c++) {
      int wanted = c;
      members[c] =
          draws.shuffle(
              IntStream.range(0, labels.length).filter(i -> labels[i] == wanted).toArray());
      if (members[c].length == 0 && frequencies[c] > 0) {
        throw new OutriggerException(
            "There is no row of class " + c + ", which has the frequency " + frequencies[c] + ".");
      }
    }
    int last = classes - 1;
    while (frequencies[last] == 0) {
      last--;
    }
    int[] next = new int[classes];
    int[] drawn = new int[rows];
    for (int i = 0; i < rows; i++) {
      double u = draws.uniform() * all;
      int c = 0;
      while (until[c] <= u && c < last) {
        c++;
      }
      if (next[c] == members[c].length) {
        draws.shuffle(members[c]);
        next[c] = 0;
      }
      drawn[i] = members[c][next[c]++];
    }
    return drawn;
  }

  /** A view of {@link #rows rows drawn} from labelled data. */
  public static IndexedDataset draw(
      IndexedDataset data, double[] frequencies, int rows, long seed) {
    return data.subset(rows(data.labels(), frequencies, rows, seed));
  }
}
