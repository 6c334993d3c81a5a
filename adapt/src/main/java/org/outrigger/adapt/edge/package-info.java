/**
 * Adaptation that is shared between a device, which only runs its model forward, and a cloud, which
 * learns for it.
 *
 * <ul>
 *   <li>The methods: {@link org.outrigger.adapt.edge.Cema} sends normalisation parameters back,
 *       {@link org.outrigger.adapt.edge.UVpa} a visual prompt. Each is an {@link
 *       org.outrigger.adapt.Adapter} with both sides in one process.
 *   <li>The two sides: {@link org.outrigger.adapt.edge.EdgeDevice} and {@link
 *       org.outrigger.adapt.edge.CloudSession}, which know nothing of how they are connected.
 *   <li>What connects them: {@link org.outrigger.adapt.edge.Message}s over a {@link
 *       org.outrigger.adapt.edge.CloudLink}, in memory or over TCP ({@link
 *       org.outrigger.adapt.edge.CloudServer}).
 *   <li>The mathematics: {@link org.outrigger.adapt.edge.UploadCriteria}, {@link
 *       org.outrigger.adapt.edge.SelectiveDistillation}, {@link
 *       org.outrigger.adapt.edge.TestTimeBatchRenorm}, {@link
 *       org.outrigger.adapt.edge.DropoutUncertainty}, {@link
 *       org.outrigger.adapt.edge.VisualPrompt}.
 * </ul>
 */
@NullMarked
package org.outrigger.adapt.edge;

import org.jspecify.annotations.NullMarked;
