package org.outrigger.core.data;

/**
 * A data set whose rows can be read by position, so that it can be shuffled, split and read in
 * parallel. {@link #read} is safe for concurrent use.
 */
public interface IndexedDataset extends Dataset {
  /**
   * Reads rows. A row that cannot be read makes it throw an {@link
   * org.outrigger.core.OutriggerException} that names the row; the walk then skips that row.
   *
   * @param rows positions in 0 .. size-1, in the order wanted
   */
  Batch read(int[] rows);

  /** The label of a row without reading its input; -1 if unlabelled or unknown. */
  int label(int row);
}
