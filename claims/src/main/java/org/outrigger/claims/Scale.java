package org.outrigger.claims;

/** How large a claim's experiment is. */
public enum Scale {
  /** The size that the statement is about. */
  FULL,
  /** As small as runs at all: shows that the code works, and nothing about the statement. */
  SMOKE;

  /** The size to use. */
  public int pick(int full, int smoke) {
    return this == FULL ? full : smoke;
  }
}
