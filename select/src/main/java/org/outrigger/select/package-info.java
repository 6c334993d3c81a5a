/**
 * Which model, which data, how big? Scores rank candidate models for a labelled target set without
 * training them; data selection chooses what to train on; scaling laws say what size buys.
 *
 * <ul>
 *   <li>{@link org.outrigger.select.scaling.TsfmScaling}
 * </ul>
 */
@NullMarked
package org.outrigger.select;

import org.jspecify.annotations.NullMarked;
