/**
 * What a model is: inputs to {@link org.outrigger.core.model.Output}, plus capabilities as
 * interfaces. A method asks {@link org.outrigger.core.model.Model#as} for the capability that it
 * needs. {@link org.outrigger.core.model.Fusion} joins models as the modalities of one.
 */
@NullMarked
package org.outrigger.core.model;

import org.jspecify.annotations.NullMarked;
