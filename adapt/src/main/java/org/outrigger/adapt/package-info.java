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
 *   <li>Corrections of outputs, over any adapter or over a model that only predicts: {@link
 *       org.outrigger.adapt.Lame}, {@link org.outrigger.adapt.AdaNpc} (a {@link
 *       org.outrigger.adapt.FeatureMemory} that {@link org.outrigger.adapt.NeighbourVoting} trains
 *       features for), {@link org.outrigger.adapt.T3a}, {@link
 *       org.outrigger.adapt.PriorCorrection}, {@link org.outrigger.adapt.LabelShiftAdapter}.
 * </ul>
 */
@NullMarked
package org.outrigger.adapt;

import org.jspecify.annotations.NullMarked;
