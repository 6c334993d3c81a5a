/**
 * What does 0.9 mean? A {@link org.outrigger.calibrate.Calibrator} is fitted on held-out logits and
 * labels and gives probabilities; {@link org.outrigger.calibrate.TemperatureScaling} is the first.
 * Calibration errors are measured with {@code org.outrigger.core.metric}.
 *
 * <p>{@link org.outrigger.calibrate.CorrectnessCalibration} gives each input a temperature of its
 * own, read off changed {@link org.outrigger.calibrate.View}s of it ({@link
 * org.outrigger.calibrate.Views} are the usual ones, {@link
 * org.outrigger.calibrate.AdaptiveTemperature} is its mathematics).
 *
 * <p>A {@link org.outrigger.calibrate.ConformalPredictor} gives sets of labels instead, which hold
 * the true one with a promised probability: see {@link org.outrigger.calibrate.conformal}.
 */
@NullMarked
package org.outrigger.calibrate;

import org.jspecify.annotations.NullMarked;
