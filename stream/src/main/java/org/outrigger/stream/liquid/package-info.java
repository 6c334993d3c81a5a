/**
 * Forecasts that follow a stream through an abrupt change. {@link
 * org.outrigger.stream.liquid.LiquidForecaster} carries the state of a liquid network over the
 * stream and needs no training there; {@link org.outrigger.stream.liquid.IncrementalForecaster} is
 * what it is compared with, a network that is trained again every so often. {@link
 * org.outrigger.stream.liquid.ForecastErrors} measures both, {@link
 * org.outrigger.stream.liquid.Gaps} closes gaps in a series.
 */
@NullMarked
package org.outrigger.stream.liquid;

import org.jspecify.annotations.NullMarked;
