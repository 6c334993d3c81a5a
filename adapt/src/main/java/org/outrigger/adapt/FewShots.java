package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Which rows of a labelled target set are learned from, which one of each class chooses the
 * checkpoint, and which only measure. Rows of unknown class are in none of them.
 *
 * @param train the shots, class by class
 * @param validation one row of each class
 * @param pool all rows that shots and validation were drawn from
 * @param test the rows that were kept apart beforehand; may be empty
 */
public record FewShots(
    List<Integer> train, List<Integer> validation, List<Integer> pool, List<Integer> test) {
  public FewShots {
    train = List.copyOf(train);
    validation = List.copyOf(validation);
    pool = List.copyOf(pool);
    test = List.copyOf(test);
  }

  /**
   * Draws rows: of each class a share is kept apart for the test; of a random order of the others
   * the first k are shots and the last is for validation.
   *
   * @param target labelled
   * @param classes the number of classes of the model
   * @param k shots of each class, at least 1
   * @param holdout the share of each class that is kept apart, in [0, 1)
   * @throws OutriggerException if a label is not below {@code classes}, or a class has fewer than k
   *     + 1 rows left
   */
  public static FewShots draw(
      IndexedDataset target, int classes, int k, double holdout, long seed) {
    HyperParameter.atLeast("k", k, 1);
    HyperParameter.require(holdout >= 0 && holdout < 1, "holdout", holdout, "0 or more, below 1");
    int[] labels = labels(target, classes);
    List<Integer> train = new ArrayList<>();
    List<Integer> validation = new ArrayList<>();
    List<Integer> pool = new ArrayList<>();
    List<Integer> test = new ArrayList<>();
    try (Rng rng = Rng.named(seed, "few shots")) {
      for (int c = 0; c < classes; c++) {
        int wanted = c;
        List<Integer> rows =
            IntStream.range(0, labels.length).filter(row -> labels[row] == wanted).boxed().toList();
        List<Integer> apart = shuffled(rows, rng);
        int kept = (int) Math.round(holdout * rows.size());
        test.addAll(apart.subList(0, kept));
        List<Integer> own = shuffled(apart.subList(kept, apart.size()), rng);
        if (own.size() < k + 1) {
          throw new OutriggerException(tooFew(target, c, rows.size(), own.size(), k));
        }
        pool.addAll(own);
        train.addAll(own.subList(0, k));
        validation.add(own.get(own.size() - 1));
      }
    }
    return new FewShots(
        train, validation, pool.stream().sorted().toList(), test.stream().sorted().toList());
  }

  private static String tooFew(IndexedDataset target, int c, int all, int left, int k) {
    String name = c < target.classNames().size() ? "'" + target.classNames().get(c) + "'" : "" + c;
    return target.name()
        + " has "
        + all
        + " labelled rows of class "
        + name
        + (left < all ? ", " + left + " of them outside the test part" : "")
        + ", but "
        + (k + 1)
        + " are needed, k = "
        + k
        + " to learn from and one to choose the checkpoint: label more, lower k, or set holdout = 0.";
  }

  private static List<Integer> shuffled(List<Integer> rows, Rng rng) {
    int[] order = Scopes.scoped(() -> Tensors.ints(rng.permutation(rows.size())));
    return Arrays.stream(order).mapToObj(rows::get).toList();
  }

  private static int[] labels(IndexedDataset target, int classes) {
    if (!target.labelled()) {
      throw new OutriggerException(
          target.name() + " has no labels: label a few rows of each class.");
    }
    int[] labels = target.labels();
    requireBelow(target, labels, classes);
    return labels;
  }

  /** Demands that labels are classes of the model. */
  static void requireBelow(IndexedDataset data, int[] labels, int classes) {
    int largest = Arrays.stream(labels).max().orElse(-1);
    if (largest >= classes) {
      throw new OutriggerException(
          data.name()
              + " has label "
              + largest
              + ", but the model knows classes 0 to "
              + (classes - 1)
              + " only: leave rows of other classes out.");
    }
  }

  /** As JSON-able values. */
  Map<String, Object> toMap() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("train", train);
    map.put("validation", validation);
    map.put("poolRows", pool.size());
    map.put("test", test);
    return map;
  }
}
