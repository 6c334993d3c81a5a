package org.outrigger.core.data;

import java.util.List;
import java.util.Map;

/**
 * A data set whose rows can be read by position, so that it can be shuffled, split and read in
 * parallel. {@link #read} is safe for concurrent use. Views share the rows of what they were made
 * from and copy nothing; they work as long as it is open.
 */
public interface IndexedDataset extends Dataset {
  /**
   * Reads rows. A row that cannot be read makes it throw an {@link UnreadableRow}; a walk then
   * skips that row.
   *
   * @param rows positions in 0 .. size-1, in the order wanted; at least one
   */
  Batch read(int[] rows);

  /** The label of a row without reading its input; -1 if unlabelled or unknown. */
  int label(int row);

  /** Whether reading costs no more than a copy, so that reading ahead gains nothing. */
  default boolean inMemory() {
    return false;
  }

  /** Walks the rows in order, reading ahead where that helps; see {@link Loader} for more. */
  @Override
  default Batches batches(int batchSize) {
    return Loader.of(this).batchSize(batchSize).epoch(0);
  }

  /** A view whose walks stop with an error at the first row that cannot be read. */
  @Override
  default IndexedDataset strict() {
    return new StrictDataset.Indexed(this);
  }

  /** The labels of all rows, -1 where unlabelled or unknown. */
  default int[] labels() {
    int[] labels = new int[Math.toIntExact(size())];
    for (int i = 0; i < labels.length; i++) {
      labels[i] = label(i);
    }
    return labels;
  }

  /** A view of the rows at these positions, in this order; a position may repeat. */
  default IndexedDataset subset(int... rows) {
    return Subset.of(this, rows);
  }

  /** A view of the first {@code rows} rows, or of all if there are fewer. */
  default IndexedDataset limit(int rows) {
    return Subset.of(this, Splits.first(this, rows));
  }

  /** A view of all rows in a random order that depends on {@code seed} alone. */
  default IndexedDataset shuffled(long seed) {
    return Subset.of(this, Splits.permutation(Math.toIntExact(size()), seed));
  }

  /**
   * Splits the rows at random in two parts; each keeps the order of the rows.
   *
   * @param fraction the share of the first part, in (0, 1)
   */
  default Splits split(double fraction, long seed) {
    return Splits.random(this, fraction, seed);
  }

  /**
   * As {@link #split}, with the same share of each class in both parts, up to rounding. Rows of
   * unknown class count as one more class.
   */
  default Splits splitStratified(double fraction, long seed) {
    return Splits.stratified(this, fraction, seed);
  }

  /**
   * A view of the rows of these classes, whose labels become 0, 1, ... in the order given: with
   * {@link #onlyUnknown} the two sides of a held-out-classes experiment.
   */
  default IndexedDataset keepClasses(int... classes) {
    return Splits.keepClasses(this, classes);
  }

  /** A view of the rows of these classes, as unknown inputs: every label becomes -1. */
  default IndexedDataset onlyUnknown(int... classes) {
    return Splits.onlyUnknown(this, classes);
  }

  /** A view of all rows as unknown inputs: every label becomes -1. */
  default IndexedDataset asUnknown() {
    return Subset.of(this, Splits.range(Math.toIntExact(size()))).relabelled(l -> -1, List.of());
  }

  /**
   * Several modalities of the same rows as one data set of rows [D]: the values of each, flattened,
   * side by side; see {@link Packed}.
   *
   * @param modalities by name, two or more with the same rows in the same order
   */
  static IndexedDataset pack(Map<String, ? extends IndexedDataset> modalities) {
    return new Packed(modalities);
  }

  /** The rows of several data sets, one after the other; see {@link Concatenated}. */
  static IndexedDataset concat(IndexedDataset... parts) {
    return new Concatenated(List.of(parts));
  }
}
