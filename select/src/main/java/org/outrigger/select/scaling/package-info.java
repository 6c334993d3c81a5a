/**
 * Scaling laws of time-series transformers. {@link org.outrigger.select.scaling.ScalingSweep}
 * trains a ladder of sizes and resumes where it was stopped, a {@link
 * org.outrigger.select.scaling.RunTable} holds what was measured, {@link
 * org.outrigger.select.scaling.TsfmScaling} fits {@link org.outrigger.select.scaling.PowerLaw}s and
 * {@link org.outrigger.select.scaling.ScalingAdvice} says in words what they mean. {@link
 * org.outrigger.select.scaling.Forecaster} and {@link org.outrigger.select.scaling.ForecastMetrics}
 * measure forecasts.
 */
@NullMarked
package org.outrigger.select.scaling;

import org.jspecify.annotations.NullMarked;
