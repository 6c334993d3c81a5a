package org.outrigger.client;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a guard says about one row.
 *
 * @param requestId of the request that the row went with; with {@code row} it names the row for
 *     {@link GuardClient#label(Verdict, int)}
 * @param row its number in that request
 * @param label the predicted class index
 * @param className the predicted class's name
 * @param probability the calibrated probability of that class, in [0, 1]
 * @param score how unfamiliar the input is; larger is less familiar
 * @param unknown whether the guard's model does not know such inputs
 * @param detector which detector gave the score
 * @param labelSet the class indices that are possible, ascending; null if the guard promises none
 */
public record Verdict(
    String requestId,
    int row,
    int label,
    String className,
    double probability,
    double score,
    boolean unknown,
    String detector,
    @Nullable List<Integer> labelSet) {
  public Verdict {
    labelSet = labelSet == null ? null : List.copyOf(labelSet);
  }
}
