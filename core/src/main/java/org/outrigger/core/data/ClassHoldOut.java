package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;

/**
 * Which classes of a data set are known and which are held out as unknown inputs of the same kind.
 * The same choice is applied to training and test data. Held out {@linkplain #withinGroups within
 * groups}, each unknown class has known relatives: the fine-grained case, such as one aircraft
 * variant among others.
 *
 * @param known classes in rising order; they become labels 0, 1, ...
 * @param heldOut all other classes, in rising order
 */
public record ClassHoldOut(List<Integer> known, List<Integer> heldOut) {
  public ClassHoldOut {
    known = known.stream().sorted().toList();
    heldOut = heldOut.stream().sorted().toList();
    Set<Integer> all = new HashSet<>(known);
    all.addAll(heldOut);
    if (all.size() < known.size() + heldOut.size() || all.stream().anyMatch(c -> c < 0)) {
      throw new OutriggerException(
          "Known classes "
              + known
              + " and held-out classes "
              + heldOut
              + " must be different numbers from 0 on, each named once.");
    }
    if (known.size() < 2 || heldOut.isEmpty()) {
      throw new OutriggerException(
          "A hold-out needs at least 2 known classes and 1 held out, not "
              + known.size()
              + " and "
              + heldOut.size()
              + ".");
    }
  }

  /**
   * Holds out these classes.
   *
   * @param classes how many there are in all
   */
  public static ClassHoldOut of(int classes, int... heldOut) {
    if (Arrays.stream(heldOut).anyMatch(c -> c < 0 || c >= classes)) {
      throw new OutriggerException(
          "Held-out classes "
              + Arrays.toString(heldOut)
              + " are not all among the classes 0 to "
              + (classes - 1)
              + ".");
    }
    List<Integer> out = Arrays.stream(heldOut).boxed().toList();
    return new ClassHoldOut(
        IntStream.range(0, classes).filter(c -> !out.contains(c)).boxed().toList(), out);
  }

  /**
   * Holds out classes at random, whatever their relations.
   *
   * @param classes how many there are in all
   * @param count how many to hold out; at least 2 remain
   */
  public static ClassHoldOut random(int classes, int count, long seed) {
    return of(
        classes,
        Arrays.copyOf(Splits.permutation(classes, seed), Math.max(0, Math.min(count, classes))));
  }

  /**
   * Holds out a share of each group of related classes at random, so that each held-out class has
   * at least one known relative. A group of one class stays known.
   *
   * @param groupOf the group of each class, such as the superclass or the family
   * @param share of a group's classes, in (0, 1); rounded, but at least one remains
   */
  public static ClassHoldOut withinGroups(int[] groupOf, double share, long seed) {
    if (!(share > 0 && share < 1)) {
      throw new OutriggerException(
          "A hold-out needs a share above 0 and below 1, not " + share + ".");
    }
    Map<Integer, List<Integer>> groups = new TreeMap<>();
    for (int c : Splits.permutation(groupOf.length, seed)) {
      groups.computeIfAbsent(groupOf[c], k -> new ArrayList<>()).add(c);
    }
    List<Integer> out = new ArrayList<>();
    for (List<Integer> group : groups.values()) {
      int count = (int) Math.min(group.size() - 1, Math.round(share * group.size()));
      out.addAll(group.subList(0, count));
    }
    if (out.isEmpty()) {
      throw new OutriggerException(
          "No class is held out with a share of "
              + share
              + ": the groups are too small for it. Choose a larger share or larger groups.");
    }
    return of(groupOf.length, out.stream().mapToInt(c -> c).toArray());
  }

  /** A view of the rows of the known classes, labelled 0, 1, ... */
  public IndexedDataset known(IndexedDataset data) {
    return data.keepClasses(known.stream().mapToInt(c -> c).toArray());
  }

  /** A view of the rows of the held-out classes, as unknown inputs. */
  public IndexedDataset unknown(IndexedDataset data) {
    return data.onlyUnknown(heldOut.stream().mapToInt(c -> c).toArray());
  }
}
