/**
 * Transformers over patches of time series: {@link
 * org.outrigger.core.zoo.series.SeriesTransformer}, encoder-only or decoder-only, of {@link
 * org.outrigger.core.zoo.series.SeriesConfig}'s sizes, made of {@link
 * org.outrigger.core.zoo.series.SeriesBlock}s. {@link org.outrigger.core.zoo.series.PackedSeries}
 * is a batch in which several series share a sequence, {@link
 * org.outrigger.core.zoo.series.SeriesScale} where each of them lies, {@link
 * org.outrigger.core.zoo.series.StudentTMixture} what is predicted of a point.
 */
@NullMarked
package org.outrigger.core.zoo.series;

import org.jspecify.annotations.NullMarked;
