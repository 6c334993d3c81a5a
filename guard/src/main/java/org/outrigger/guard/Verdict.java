package org.outrigger.guard;

/**
 * What a guard says about one row.
 *
 * @param id the row's name
 * @param label the predicted class index
 * @param className the predicted class's name, or its index as text when it has none
 * @param probability the calibrated probability of that class, in [0, 1]
 * @param score how unfamiliar the input is; larger is less familiar. With one detector its own
 *     score; with several the largest of their {@linkplain ScoreScale scaled} scores
 * @param unknown whether the score is above the guard's threshold
 * @param detector which detector gave the score: with several, the one that found it least familiar
 */
public record Verdict(
    String id,
    int label,
    String className,
    double probability,
    double score,
    boolean unknown,
    String detector) {}
