package org.outrigger.guard;

import org.jspecify.annotations.Nullable;

/**
 * What a guard says about one row.
 *
 * @param id the row's name
 * @param label the predicted class index: the model's (or the adapter's), or where the guard's
 *     calibrator may change the order of classes, the most probable after calibration
 * @param className the predicted class's name, or its index as text when it has none
 * @param probability the calibrated probability of that class, in [0, 1]
 * @param score how unfamiliar the input is; larger is less familiar. With one detector its own
 *     score; with several the largest of their {@linkplain ScoreScale scaled} scores
 * @param unknown whether the score is above the guard's threshold
 * @param detector which detector gave the score: with several, the one that found it least familiar
 * @param labelSet the labels that are possible, with the promised probability that the true one is
 *     among them; null if the guard promises none
 */
public record Verdict(
    String id,
    int label,
    String className,
    double probability,
    double score,
    boolean unknown,
    String detector,
    @Nullable LabelSet labelSet) {}
