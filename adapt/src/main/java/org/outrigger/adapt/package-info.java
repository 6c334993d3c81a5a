/**
 * How does it follow the stream? An {@link org.outrigger.adapt.Adapter} predicts the batches of an
 * unlabelled stream and learns from them as it goes; source-free methods adapt a model to a target
 * set at once.
 *
 * <p>At once: an {@link org.outrigger.adapt.OfflineAdapter} ({@link
 * org.outrigger.adapt.FewShotSfda}, {@link org.outrigger.adapt.Shot}) makes another model of one
 * and a target set; {@link org.outrigger.adapt.FineTuner} takes their steps. Where source and
 * target have other features, {@link org.outrigger.adapt.Ktf} and its baselines {@link
 * org.outrigger.adapt.TargetOnly} and {@link org.outrigger.adapt.SoftTransfer} learn from {@link
 * org.outrigger.adapt.HeterogeneousData}, with sources of noise from {@link
 * org.outrigger.adapt.NoiseSource}; {@link org.outrigger.adapt.SourceStudy} says why one helps.
 */
@NullMarked
package org.outrigger.adapt;

import org.jspecify.annotations.NullMarked;
