/**
 * How does it follow the stream? An {@link org.outrigger.adapt.Adapter} predicts the batches of an
 * unlabelled stream and learns from them as it goes; source-free methods adapt a model to a target
 * set at once. Continual learning with a frozen encoder is in {@code ear}.
 */
@NullMarked
package org.outrigger.adapt;

import org.jspecify.annotations.NullMarked;
