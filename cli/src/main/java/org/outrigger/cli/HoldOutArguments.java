package org.outrigger.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.ClassHoldOut;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Methods;
import picocli.CommandLine.Option;

/** Classes to train without, on which to see how well unknown ones are told apart. */
final class HoldOutArguments {
  @Option(
      names = "--hold-out",
      split = ",",
      paramLabel = "CLASS|SHARE",
      description =
          "Train without these classes, or without this share of them (0.4) drawn at random; show"
              + " how well they are told from the others.")
  private List<String> heldOut = List.of();

  @Option(
      names = "--related",
      paramLabel = "CLASS+CLASS",
      description =
          "Classes that are related; may be given several times. A share of --hold-out is then"
              + " drawn within each such group, so that every unknown class has known relatives.")
  private List<String> related = List.of();

  private @Nullable ClassHoldOut chosen;

  /** Whether classes are held out. */
  boolean given() {
    return !heldOut.isEmpty();
  }

  /** The rows of the known classes: all, if none is held out. */
  IndexedDataset known(IndexedDataset data, long seed) {
    return given() ? choice(data, seed).known(data) : data;
  }

  /** The rows of the held-out classes; null if none is. */
  @Nullable IndexedDataset unknown(IndexedDataset data, long seed) {
    return given() ? choice(data, seed).unknown(data) : null;
  }

  /** The names of the held-out classes. */
  List<String> names(IndexedDataset data, long seed) {
    return choice(data, seed).heldOut().stream().map(data.classNames()::get).toList();
  }

  /** Checks what can be checked without data. */
  void check() {
    if (!related.isEmpty() && !share()) {
      throw new OutriggerException(
          "--related is for a share to hold out, such as --hold-out 0.4: leave it out, or give a"
              + " share.");
    }
  }

  private boolean share() {
    return heldOut.size() == 1 && heldOut.get(0).strip().matches("0?\\.\\d+");
  }

  /** Made for the first data asked for, and the same for all that follow. */
  private ClassHoldOut choice(IndexedDataset data, long seed) {
    ClassHoldOut now = chosen;
    if (now == null) {
      List<String> names = data.classNames();
      if (names.isEmpty()) {
        throw new OutriggerException(
            "--hold-out needs names of classes, which " + data.name() + " does not have.");
      }
      now = choose(names, seed);
      chosen = now;
    }
    return now;
  }

  private ClassHoldOut choose(List<String> names, long seed) {
    int classes = names.size();
    if (!share()) {
      return ClassHoldOut.of(
          classes, heldOut.stream().mapToInt(name -> index(names, name)).toArray());
    }
    double share = Double.parseDouble(heldOut.get(0).strip());
    if (related.isEmpty()) {
      int count = (int) Math.max(1, Math.round(share * classes));
      return ClassHoldOut.random(classes, count, seed);
    }
    // A class that is in no group is a group of its own, which stays known.
    int[] groupOf = new int[classes];
    Arrays.setAll(groupOf, c -> related.size() + c);
    for (int group = 0; group < related.size(); group++) {
      for (String name : related.get(group).split("\\+", -1)) {
        groupOf[index(names, name)] = group;
      }
    }
    return ClassHoldOut.withinGroups(groupOf, share, seed);
  }

  private static int index(List<String> names, String name) {
    int index = names.indexOf(name.strip());
    if (index < 0) {
      List<String> near = new ArrayList<>(Methods.nearest(name.strip(), names));
      throw new OutriggerException(
          "There is no class '"
              + name.strip()
              + "' to hold out."
              + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
              + " All: "
              + String.join(", ", names)
              + ".");
    }
    return index;
  }
}
