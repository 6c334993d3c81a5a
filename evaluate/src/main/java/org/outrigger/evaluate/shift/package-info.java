/**
 * Distributions that keep moving: {@link org.outrigger.evaluate.shift.ShiftSequence} leads a model
 * through a sequence of shifts, lets it adapt to a few labelled rows of each, and measures
 * classification and detection; {@link org.outrigger.evaluate.shift.Rotation} is one family.
 */
@NullMarked
package org.outrigger.evaluate.shift;

import org.jspecify.annotations.NullMarked;
