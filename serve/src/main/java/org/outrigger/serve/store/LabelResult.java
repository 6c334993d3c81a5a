package org.outrigger.serve.store;

import java.util.Set;

/**
 * What became of labels.
 *
 * @param matched those whose rows are known; the others wait for theirs
 */
record LabelResult(Set<Name> matched) {
  /** The name of a row. */
  record Name(String request, int row) {}
}
