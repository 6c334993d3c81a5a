package org.outrigger.serve.dashboard;

/** Counts that can be added up and used again. */
interface Mergeable<T> {
  /** Adds another's counts to these. */
  void add(T other);

  /** Forgets all. */
  void clear();
}
