/**
 * What does 0.9 mean? A {@link org.outrigger.calibrate.Calibrator} is fitted on held-out logits and
 * labels and gives probabilities; a {@link org.outrigger.calibrate.ConformalPredictor} gives sets
 * of labels, which hold the true one with a promised probability: see {@code
 * org.outrigger.calibrate.conformal}. Calibration errors are measured with {@code
 * org.outrigger.core.metric}.
 *
 * <p>Calibrators:
 *
 * <ul>
 *   <li>{@link org.outrigger.calibrate.TemperatureScaling}, {@link
 *       org.outrigger.calibrate.EnsembleTemperatureScaling}: few numbers, the ranking stays
 *   <li>{@link org.outrigger.calibrate.VectorScaling}, {@link
 *       org.outrigger.calibrate.MatrixScaling}, {@link
 *       org.outrigger.calibrate.DirichletCalibration}: maps of all logits
 *   <li>{@link org.outrigger.calibrate.PlattScaling}, {@link
 *       org.outrigger.calibrate.BetaCalibration}, {@link org.outrigger.calibrate.HistogramBinning},
 *       {@link org.outrigger.calibrate.Isotonic}: maps of one probability, each class against the
 *       rest
 *   <li>{@link org.outrigger.calibrate.CorrectnessCalibration}: a temperature for each input, read
 *       off changed {@link org.outrigger.calibrate.View}s of it ({@link
 *       org.outrigger.calibrate.Views} are the usual ones, {@link
 *       org.outrigger.calibrate.AdaptiveTemperature} is its mathematics)
 *   <li>{@link org.outrigger.calibrate.AutoCalibrator}: chooses by cross-validation ({@link
 *       org.outrigger.calibrate.CalibratorChoice})
 * </ul>
 *
 * <p>Processes over functions, which predict by themselves, are in {@code
 * org.outrigger.calibrate.nngp}.
 */
@NullMarked
package org.outrigger.calibrate;

import org.jspecify.annotations.NullMarked;
