/**
 * What changes over time? Detectors tell in one pass that a stream is no longer what it was, tests
 * compare two samples, memories learn from recent errors, liquid networks follow irregular time.
 *
 * <p>Methods in packages of their own: {@link org.outrigger.stream.memory.ReLoop2}, {@link
 * org.outrigger.stream.liquid.LiquidForecaster}.
 */
@NullMarked
package org.outrigger.stream;

import org.jspecify.annotations.NullMarked;
