package org.outrigger.core.data;

import java.util.List;

/** A source of rows that can be walked any number of times, always in the same order. */
public interface Dataset {
  /** What it is called in reports. */
  String name();

  /** The number of rows; -1 if it is not known before a walk. */
  long size();

  /** The names of the classes, by label; empty if unlabelled or unnamed. */
  List<String> classNames();

  /**
   * The columns of a table that the inputs come from, as {@link DataOptions#features} takes them.
   */
  default List<String> featureColumns() {
    return List.of();
  }

  /** Whether batches carry labels. */
  boolean labelled();

  /** The shape of one input: [C, H, W] or [D]. */
  long[] inputShape();

  /**
   * Starts a walk. Rows that cannot be read are left out and counted in {@link Batches#skipped()}.
   *
   * @param batchSize at least 1; the last batch may be smaller
   */
  Batches batches(int batchSize);

  /** A view whose walks stop with an error at the first row that cannot be read. */
  default Dataset strict() {
    return new StrictDataset(this);
  }
}
