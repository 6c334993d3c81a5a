package org.outrigger.core.data;

import java.util.Iterator;
import java.util.List;

/**
 * One walk over a data set. Each batch belongs to the caller; closing the walk stops its threads.
 */
public interface Batches extends Iterator<Batch>, AutoCloseable {
  /** What could not be read so far. */
  List<Skipped> skipped();

  @Override
  void close();

  /**
   * A row or file that could not be read.
   *
   * @param id its name
   * @param reason in a few words
   */
  record Skipped(String id, String reason) {}
}
