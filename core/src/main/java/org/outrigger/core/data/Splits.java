package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SortedMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;

/**
 * Two parts of one data set, without a shared row, as {@link IndexedDataset#split} makes them.
 *
 * @param first the part whose share was asked for
 * @param second the rest
 */
public record Splits(IndexedDataset first, IndexedDataset second) {
  static Splits random(IndexedDataset data, double fraction, long seed) {
    int size = Math.toIntExact(data.size());
    check(data, fraction);
    int count = Math.min(size - 1, Math.max(1, (int) Math.round(fraction * size)));
    boolean[] chosen = new boolean[size];
    int[] order = permutation(size, seed);
    for (int i = 0; i < count; i++) {
      chosen[order[i]] = true;
    }
    return divide(data, chosen);
  }

  static Splits stratified(IndexedDataset data, double fraction, long seed) {
    check(data, fraction);
    if (!data.labelled()) {
      throw new OutriggerException(
          data.name() + " has no labels, so it cannot be split by class: use split().");
    }
    int size = Math.toIntExact(data.size());
    SortedMap<Integer, List<Integer>> byClass = new TreeMap<>();
    for (int row : permutation(size, seed)) {
      byClass.computeIfAbsent(data.label(row), k -> new ArrayList<>()).add(row);
    }
    boolean[] chosen = new boolean[size];
    // The remainder is carried from class to class, so that the whole has the share asked for too.
    double carry = 0;
    int total = 0;
    for (List<Integer> rows : byClass.values()) {
      double wanted = fraction * rows.size() + carry;
      int count = (int) Math.round(wanted);
      count = Math.max(0, Math.min(rows.size(), count));
      carry = wanted - count;
      total += count;
      rows.subList(0, count).forEach(row -> chosen[row] = true);
    }
    if (total == 0 || total == size) {
      return random(data, fraction, seed);
    }
    return divide(data, chosen);
  }

  private static void check(IndexedDataset data, double fraction) {
    if (!(fraction > 0 && fraction < 1)) {
      throw new OutriggerException(
          "A split needs a fraction above 0 and below 1, not " + fraction + ".");
    }
    if (data.size() < 2) {
      throw new OutriggerException(
          data.name() + " has " + data.size() + " rows: at least 2 are needed for a split.");
    }
  }

  private static Splits divide(IndexedDataset data, boolean[] chosen) {
    return new Splits(
        data.subset(IntStream.range(0, chosen.length).filter(i -> chosen[i]).toArray()),
        data.subset(IntStream.range(0, chosen.length).filter(i -> !chosen[i]).toArray()));
  }

  static IndexedDataset keepClasses(IndexedDataset data, int... classes) {
    int[] rows = rowsOf(data, classes);
    int[] relabel = new int[Arrays.stream(classes).max().orElse(0) + 1];
    Arrays.fill(relabel, -1);
    List<String> names = new ArrayList<>();
    for (int i = 0; i < classes.length; i++) {
      relabel[classes[i]] = i;
      if (!data.classNames().isEmpty()) {
        names.add(data.classNames().get(classes[i]));
      }
    }
    return Subset.of(data, rows).relabelled(label -> relabel[label], names);
  }

  static IndexedDataset onlyUnknown(IndexedDataset data, int... classes) {
    return Subset.of(data, rowsOf(data, classes)).relabelled(label -> -1, List.of());
  }

  private static int[] rowsOf(IndexedDataset data, int... classes) {
    if (!data.labelled()) {
      throw new OutriggerException(
          data.name() + " has no labels, so classes cannot be chosen from it.");
    }
    if (classes.length == 0) {
      throw new OutriggerException("Name at least one class to choose.");
    }
    if (Arrays.stream(classes).distinct().count() < classes.length) {
      throw new OutriggerException("A class is named twice in " + Arrays.toString(classes) + ".");
    }
    int known = data.classNames().size();
    for (int c : classes) {
      if (c < 0 || (known > 0 && c >= known)) {
        throw new OutriggerException(
            "Class "
                + c
                + " is not in "
                + data.name()
                + (known > 0 ? ", which has classes 0 to " + (known - 1) : "")
                + ".");
      }
    }
    int[] labels = data.labels();
    int[] rows =
        IntStream.range(0, labels.length)
            .filter(i -> Arrays.stream(classes).anyMatch(c -> c == labels[i]))
            .toArray();
    if (rows.length == 0) {
      throw new OutriggerException(
          data.name() + " has no rows of the classes " + Arrays.toString(classes) + ".");
    }
    return rows;
  }

  static int[] first(IndexedDataset data, int rows) {
    if (rows < 1) {
      throw new OutriggerException("A limit of " + rows + " rows is out of range: use 1 or more.");
    }
    return range((int) Math.min(rows, data.size()));
  }

  static int[] range(int size) {
    return IntStream.range(0, size).toArray();
  }

  /** A random order of 0 .. n-1 (Fisher and Yates' shuffle), the same for the same seed. */
  static int[] permutation(int n, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[] order = range(n);
    for (int i = n - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swap = order[i];
      order[i] = order[j];
      order[j] = swap;
    }
    return order;
  }
}
