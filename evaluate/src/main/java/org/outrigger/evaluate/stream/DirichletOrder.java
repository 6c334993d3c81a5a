package org.outrigger.evaluate.stream;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;

/**
 * An order of rows in which neighbours share a class. The stream is cut into as many chunks as
 * there are classes, and each class spreads over the chunks by shares that are drawn from a
 * symmetric Dirichlet distribution. The smaller its concentration, the longer the runs of one
 * class; at 0 the rows are sorted by class. Gong et al., "NOTE: Robust Continual Test-time
 * Adaptation Against Temporal Correlation", NeurIPS 2022.
 */
public final class DirichletOrder {
  /** How many rows every chunk has at least; where one has fewer, all shares are drawn anew. */
  public static final int LEAST = 10;

  private static final int ATTEMPTS = 10_000;

  private DirichletOrder() {}

  /**
   * Draws an order. Rows are shuffled first, so that they come in random order within a class.
   *
   * @param labels [N]; each value is a class, -1 (unknown) too
   * @param delta the concentration, 0 or more; 0 sorts by class
   * @return the rows in their new order, each once, [N]
   * @throws OutriggerException if delta is above 0 and there are fewer than 10 rows a class, or no
   *     draw leaves every chunk 10 rows
   */
  public static int[] draw(int[] labels, double delta, long seed) {
    HyperParameter.notNegative("delta", delta);
    OrderDraws draws = new OrderDraws(seed, "label order");
    int[] present = Arrays.stream(labels).distinct().sorted().toArray();
    int classes = present.length;
    int[] rows = draws.shuffle(range(labels.length));
    int[] shuffled =
        Arrays.stream(rows).map(row -> Arrays.binarySearch(present, labels[row])).toArray();
    int[][] members = members(shuffled, classes);
    int[] order;
    if (delta == 0) {
      order = Arrays.stream(members).flatMapToInt(Arrays::stream).toArray();
    } else {
      int[][] ends = drawEnds(members, labels.length, delta, draws);
      int[][] classOrder = new int[classes][];
      Arrays.setAll(classOrder, chunk -> draws.shuffle(range(classes)));
      order = order(members, ends, classOrder);
    }
    return Arrays.stream(order).map(i -> rows[i]).toArray();
  }

  private static int[][] drawEnds(int[][] members, int size, double delta, OrderDraws draws) {
    int classes = members.length;
    if (size < LEAST * classes) {
      throw new OutriggerException(
          "A Dirichlet order of "
              + classes
              + " classes needs "
              + LEAST * classes
              + " rows or more, "
              + LEAST
              + " for each, but there are "
              + size
              + ": give more rows, or sort by class with delta = 0.");
    }
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      double[][] shares = new double[classes][];
      Arrays.setAll(shares, k -> draws.dirichlet(classes, delta));
      int[][] ends = ends(members, shares, size);
      if (least(ends) >= LEAST) {
        return ends;
      }
    }
    throw new OutriggerException(
        "No Dirichlet order with delta = "
            + delta
            + " was found that leaves each of "
            + classes
            + " chunks "
            + LEAST
            + " rows, in "
            + ATTEMPTS
            + " attempts: choose a larger delta, or sort by class with delta = 0.");
  }

  /** The size of the smallest chunk. */
  private static int least(int[][] ends) {
    return IntStream.range(0, ends.length)
        .map(
            chunk ->
                Arrays.stream(ends).mapToInt(e -> e[chunk] - (chunk == 0 ? 0 : e[chunk - 1])).sum())
        .min()
        .orElse(0);
  }

  /**
   * The order that given draws make. Classes are placed one after the other. A chunk that holds N /
   * chunks rows already takes no more: the shares of the others are scaled up to 1; the last chunk
   * takes what none has a share for.
   *
   * @param labels [N], each below K; rows of a class keep their order
   * @param proportions [K][chunks], not below 0: how class k spreads over the chunks
   * @param classOrder for each chunk the classes in their order within it, [chunks][K]
   * @return the rows in their new order, each once, [N]
   */
  public static int[] order(int[] labels, double[][] proportions, int[][] classOrder) {
    int classes = proportions.length;
    for (int label : labels) {
      if (label < 0 || label >= classes) {
        throw new OutriggerException(
            "A label is "
                + label
                + ", but there are proportions for classes 0 to "
                + (classes - 1)
                + ".");
      }
    }
    for (double[] shares : proportions) {
      if (shares.length != classOrder.length
          || Arrays.stream(shares).anyMatch(share -> !(share >= 0) || Double.isInfinite(share))) {
        throw new OutriggerException(
            "Proportions "
                + Arrays.toString(shares)
                + " are no shares of "
                + classOrder.length
                + " chunks: give each a finite number of 0 or more.");
      }
    }
    for (int[] order : classOrder) {
      if (!Arrays.equals(Arrays.stream(order).sorted().toArray(), range(classes))) {
        throw new OutriggerException(
            "A chunk's order of classes is "
                + Arrays.toString(order)
                + ": it must name each of 0 to "
                + (classes - 1)
                + " once.");
      }
    }
    int[][] members = members(labels, classes);
    return order(members, ends(members, proportions, labels.length), classOrder);
  }

  private static int[] order(int[][] members, int[][] ends, int[][] classOrder) {
    IntStream.Builder rows = IntStream.builder();
    for (int chunk = 0; chunk < classOrder.length; chunk++) {
      for (int k : classOrder[chunk]) {
        for (int i = chunk == 0 ? 0 : ends[k][chunk - 1]; i < ends[k][chunk]; i++) {
          rows.add(members[k][i]);
        }
      }
    }
    return rows.build().toArray();
  }

  /** Where each chunk's part of each class ends, [K][chunks]. */
  private static int[][] ends(int[][] members, double[][] proportions, int size) {
    int chunks = proportions.length == 0 ? 0 : proportions[0].length;
    int[] filled = new int[chunks];
    int[][] ends = new int[members.length][chunks];
    for (int k = 0; k < members.length; k++) {
      double[] shares = proportions[k].clone();
      for (int chunk = 0; chunk < chunks; chunk++) {
        shares[chunk] = filled[chunk] < size / (double) chunks ? shares[chunk] : 0;
      }
      double sum = sum(shares, 0, chunks);
      double cumulated = 0;
      for (int chunk = 0; chunk < chunks; chunk++) {
        cumulated += sum > 0 ? shares[chunk] / sum : 0;
        int count = members[k].length;
        ends[k][chunk] = chunk == chunks - 1 ? count : (int) (cumulated * count);
        filled[chunk] += ends[k][chunk] - (chunk == 0 ? 0 : ends[k][chunk - 1]);
      }
    }
    return ends;
  }

  /**
   * The sum of {@code values[from .. from + n - 1]} in NumPy's order of additions. Where the shares
   * behind a cut are 0, the last bit of this sum decides on which side of it a row falls.
   */
  private static double sum(double[] values, int from, int n) {
    if (n > 128) {
      int half = n / 2 - n / 2 % 8;
      return sum(values, from, half) + sum(values, from + half, n - half);
    }
    double sum = 0;
    int next = from;
    if (n >= 8) {
      double[] r = Arrays.copyOfRange(values, from, from + 8);
      for (next += 8; next + 8 <= from + n; next += 8) {
        for (int i = 0; i < 8; i++) {
          r[i] += values[next + i];
        }
      }
      sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    }
    for (; next < from + n; next++) {
      sum += values[next];
    }
    return sum;
  }

  /** For each class its rows, in order. */
  private static int[][] members(int[] labels, int classes) {
    int[][] members = new int[classes][];
    int[] counts = new int[classes];
    Arrays.stream(labels).forEach(label -> counts[label]++);
    Arrays.setAll(members, k -> new int[counts[k]]);
    int[] next = new int[classes];
    for (int i = 0; i < labels.length; i++) {
      members[labels[i]][next[labels[i]]++] = i;
    }
    return members;
  }

  private static int[] range(int size) {
    return IntStream.range(0, size).toArray();
  }
}
