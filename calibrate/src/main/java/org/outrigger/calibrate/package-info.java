/**
 * What does 0.9 mean? A {@link org.outrigger.calibrate.Calibrator} is fitted on held-out logits and
 * labels and gives probabilities; {@link org.outrigger.calibrate.TemperatureScaling} is the first.
 * Processes over functions, which predict by themselves, are in {@code
 * org.outrigger.calibrate.nngp}. Calibration errors are measured with {@code
 * org.outrigger.core.metric}.
 */
@NullMarked
package org.outrigger.calibrate;

import org.jspecify.annotations.NullMarked;
