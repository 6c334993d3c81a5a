/**
 * How does it follow the stream? An {@link org.outrigger.adapt.Adapter} predicts the batches of an
 * unlabelled stream and learns from them as it goes; an {@link org.outrigger.adapt.OfflineAdapter}
 * adapts a model to a target set at once.
 *
 * <ul>
 *   <li>The shells: {@link org.outrigger.adapt.BaseAdapter} checks, counts, saves, restores and
 *       resets; {@link org.outrigger.adapt.ModelAdapter} runs a copy of the model; {@link
 *       org.outrigger.adapt.GradientAdapter} takes steps on it; {@link
 *       org.outrigger.adapt.NormalisationAdapter} replaces its layers; a {@link
 *       org.outrigger.adapt.Decorator} stands over another adapter. {@link
 *       org.outrigger.adapt.Adapters} makes stacks by name, saves and loads them.
 *   <li>The model as it is: {@link org.outrigger.adapt.Source}. Other statistics: {@link
 *       org.outrigger.adapt.BatchNormAdaptation}, {@link org.outrigger.adapt.AlphaBn}, {@link
 *       org.outrigger.adapt.EmaBn}, {@link org.outrigger.adapt.DeltaTbr}, {@link
 *       org.outrigger.adapt.UnMixTns}.
 *   <li>Corrections of outputs: {@link org.outrigger.adapt.Lame}, {@link org.outrigger.adapt.T3a},
 *       {@link org.outrigger.adapt.AdaNpc}, {@link org.outrigger.adapt.LabelShiftAdapter}, {@link
 *       org.outrigger.adapt.PriorCorrection}.
 *   <li>Gradient steps on each batch: {@link org.outrigger.adapt.Tent}, {@link
 *       org.outrigger.adapt.PseudoLabel}, {@link org.outrigger.adapt.ShotIm}, {@link
 *       org.outrigger.adapt.Eata}, {@link org.outrigger.adapt.Sar}, {@link
 *       org.outrigger.adapt.Roid}, {@link org.outrigger.adapt.Delta}; {@link
 *       org.outrigger.adapt.Cafa} moves features towards the {@link
 *       org.outrigger.adapt.ClassGaussians} of the source.
 *   <li>Teachers and memories: {@link org.outrigger.adapt.Cotta}, {@link
 *       org.outrigger.adapt.Rotta}, {@link org.outrigger.adapt.Note}, {@link
 *       org.outrigger.adapt.Memo}.
 *   <li>Over any of them: {@link org.outrigger.adapt.OpenSetTta} chooses the rows to learn from,
 *       {@link org.outrigger.adapt.Episodic} and {@link org.outrigger.adapt.PeriodicReset} start
 *       over, {@link org.outrigger.adapt.SafetyNet} catches a collapse.
 *   <li>At once: {@link org.outrigger.adapt.FewShotSfda}, {@link org.outrigger.adapt.Shot}, and
 *       {@link org.outrigger.adapt.Ktf} for a source with other features.
 *   <li>{@code edge}: a device that only predicts and a cloud that learns for it. {@code ear}:
 *       adaptors for one domain after another.
 * </ul>
 */
@NullMarked
package org.outrigger.adapt;

import org.jspecify.annotations.NullMarked;
