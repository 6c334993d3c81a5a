package org.outrigger.serve;

import java.time.Instant;

/**
 * A row that clients got an answer for, and what it really was, which came later.
 *
 * @param guard the served name
 * @param version of the guard that answered
 * @param id of the request
 * @param row of the request, from 0
 * @param at when it was judged
 * @param predicted the class that the guard said
 * @param label the class that it is
 * @param probability that the guard gave the predicted class, in [0, 1]
 * @param unknown whether the guard found the row unknown
 */
public record LabelledRow(
    String guard,
    String version,
    String id,
    int row,
    Instant at,
    int predicted,
    int label,
    double probability,
    boolean unknown) {
  /** Whether the guard was right. */
  public boolean correct() {
    return predicted == label;
  }
}
