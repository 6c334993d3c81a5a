/**
 * How does it follow the stream? An {@link org.outrigger.adapt.Adapter} predicts the batches of an
 * unlabelled stream and learns from them as it goes; source-free methods adapt a model to a target
 * set at once.
 *
 * <ul>
 *   <li>Gradient steps on each batch, which say what they learn from: {@link
 *       org.outrigger.adapt.Eata}, {@link org.outrigger.adapt.Sar}, {@link
 *       org.outrigger.adapt.Roid}, {@link org.outrigger.adapt.Delta} over {@link
 *       org.outrigger.adapt.DeltaTbr}; {@link org.outrigger.adapt.Cafa} moves features towards the
 *       {@link org.outrigger.adapt.ClassGaussians} of the source.
 *   <li>Over any of them: {@link org.outrigger.adapt.OpenSetTta} chooses the rows to learn from.
 *   <li>Beside them: {@link org.outrigger.adapt.ear.Ear} learns labelled domains with a frozen
 *       encoder.
 * </ul>
 */
@NullMarked
package org.outrigger.adapt;

import org.jspecify.annotations.NullMarked;
