/**
 * Figures that say how good a prediction is, on plain arrays with conveniences for tensors: labels
 * ({@link org.outrigger.core.metric.Accuracy}, {@link org.outrigger.core.metric.ConfusionMatrix}),
 * detection ({@link org.outrigger.core.metric.ScoreTable} sorts once; {@link
 * org.outrigger.core.metric.Auroc}, {@link org.outrigger.core.metric.Aupr}, {@link
 * org.outrigger.core.metric.Fpr} and {@link org.outrigger.core.metric.DetectionMetrics} read it),
 * probabilities ({@link org.outrigger.core.metric.Calibration}, {@link
 * org.outrigger.core.metric.EceAccumulator}, {@link org.outrigger.core.metric.RiskCoverage}) and
 * how sure the figure itself is ({@link org.outrigger.core.metric.Bootstrap}, {@link
 * org.outrigger.core.metric.Rate}). What has an {@code add} also has a {@code merge}: parts of the
 * data may be counted apart. {@link org.outrigger.core.metric.RankCorrelation} compares two orders
 * of the same things.
 */
@NullMarked
package org.outrigger.core.metric;

import org.jspecify.annotations.NullMarked;
