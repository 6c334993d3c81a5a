package org.outrigger.stream;

/** Which changes of a level count as drift. */
public enum Direction {
  /** Rises only, as of an error rate. */
  UP,
  /** Falls only. */
  DOWN,
  /** Either. */
  BOTH;

  boolean up() {
    return this != DOWN;
  }

  boolean down() {
    return this != UP;
  }
}
