/**
 * What changes over time? Detectors tell in one pass that a stream is no longer what it was, tests
 * compare two samples, memories learn from recent errors, liquid networks follow irregular time.
 *
 * <p>Stream detectors ({@link org.outrigger.stream.DriftDetector}): {@link
 * org.outrigger.stream.PageHinkley}, {@link org.outrigger.stream.Cusum}, {@link
 * org.outrigger.stream.Ddm}, {@link org.outrigger.stream.Eddm}, {@link org.outrigger.stream.HddmA},
 * {@link org.outrigger.stream.HddmW}, {@link org.outrigger.stream.Adwin}, {@link
 * org.outrigger.stream.Kswin}; {@link org.outrigger.stream.RunLength} simulates how often they are
 * wrong.
 *
 * <p>Two-sample tests ({@link org.outrigger.stream.DriftTest}): {@link
 * org.outrigger.stream.KsTest}, {@link org.outrigger.stream.ChiSquaredTest}, {@link
 * org.outrigger.stream.CramerVonMises}, {@link org.outrigger.stream.Psi}, {@link
 * org.outrigger.stream.JensenShannon}, {@link org.outrigger.stream.Wasserstein}, {@link
 * org.outrigger.stream.Mmd}, {@link org.outrigger.stream.Lsdd}, {@link
 * org.outrigger.stream.ClassifierTest}, {@link org.outrigger.stream.Bbsd}. Label shift ({@link
 * org.outrigger.stream.LabelShiftEstimator}): {@link org.outrigger.stream.Bbse}, {@link
 * org.outrigger.stream.EmPrior}. {@link org.outrigger.stream.DriftMonitor} combines a test with
 * detectors.
 *
 * <p>Methods in packages of their own: {@link org.outrigger.stream.memory.ReLoop2}, {@link
 * org.outrigger.stream.liquid.LiquidForecaster}.
 */
@NullMarked
package org.outrigger.stream;

import org.jspecify.annotations.NullMarked;
