package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** The rows of each class of a data set, to draw the same number of each. */
public final class ClassRows {
  private final String data;
  private final List<int[]> rows;

  private ClassRows(String data, List<int[]> rows) {
    this.data = data;
    this.rows = rows;
  }

  /**
   * Sorts the rows by class; rows of unknown class are left out. There are as many classes as class
   * names, or up to the largest label where they are unnamed.
   *
   * @throws OutriggerException if the data is unlabelled or a class has fewer than {@code least}
   *     rows
   */
  public static ClassRows of(IndexedDataset data, int least) {
    int[] labels = data.labels();
    int classes = Math.max(data.classNames().size(), Arrays.stream(labels).max().orElse(-1) + 1);
    if (!data.labelled() || classes == 0) {
      throw new OutriggerException(
          data.name() + " has no row of a known class: give labelled data.");
    }
    List<int[]> rows = new ArrayList<>();
    for (int c = 0; c < classes; c++) {
      int wanted = c;
      rows.add(IntStream.range(0, labels.length).filter(i -> labels[i] == wanted).toArray());
      if (rows.get(c).length < least) {
        throw new OutriggerException(
            data.name()
                + " has "
                + rows.get(c).length
                + " rows of class "
                + (data.classNames().isEmpty() ? c : "'" + data.classNames().get(c) + "'")
                + ", but "
                + least
                + " of each are needed: give more data or draw fewer.");
      }
    }
    return new ClassRows(data.name(), rows);
  }

  /** The number of classes. */
  public int classes() {
    return rows.size();
  }

  /**
   * Draws rows of each class without replacement, in parts that share no row.
   *
   * @param perClass how many rows of each class each part gets
   * @return for each part its rows, class by class
   */
  public List<int[]> draw(Rng rng, int... perClass) {
    int all = Arrays.stream(perClass).sum();
    List<int[]> parts = new ArrayList<>();
    for (int count : perClass) {
      parts.add(new int[count * rows.size()]);
    }
    for (int c = 0; c < rows.size(); c++) {
      int[] own = rows.get(c);
      if (own.length < all) {
        throw new OutriggerException(
            data + " has " + own.length + " rows of class " + c + ", fewer than " + all + ".");
      }
      int[] order = Scopes.scoped(() -> Tensors.ints(rng.permutation(own.length)));
      int next = 0;
      for (int p = 0; p < perClass.length; p++) {
        for (int i = 0; i < perClass[p]; i++) {
          parts.get(p)[c * perClass[p] + i] = own[order[next++]];
        }
      }
    }
    return Collections.unmodifiableList(parts);
  }
}
