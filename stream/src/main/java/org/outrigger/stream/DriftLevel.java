package org.outrigger.stream;

/** What a detector says right after an update. */
public enum DriftLevel {
  /** Nothing speaks against the stream being what it was. */
  NONE,
  /** It may be changing: a good moment to start collecting new data. */
  WARNING,
  /** It has changed. */
  DRIFT
}
