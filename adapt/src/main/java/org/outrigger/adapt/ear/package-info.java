/**
 * Continual learning at the edge without forgetting: {@link org.outrigger.adapt.ear.Ear} keeps the
 * encoder as it is and gives each new domain a small adaptor and head of its own. The parts:
 *
 * <ul>
 *   <li>{@link org.outrigger.adapt.ear.HyperdimensionalFusion}: the features of several layers as
 *       one vector of high dimension, which {@link org.outrigger.adapt.ear.ClassDescriptors} sums
 *       up by class; the cosine to them tells how familiar an input is and whose domain it is from;
 *   <li>{@link org.outrigger.adapt.ear.Adaptor}: the families of adaptors; {@link
 *       org.outrigger.adapt.ear.AdaptorSearch} chooses one without training any, by the mean rank
 *       of {@link org.outrigger.adapt.ear.ZeroShotProxies};
 *   <li>{@link org.outrigger.adapt.ear.Routed}: predictions with domain and OOD score; {@link
 *       org.outrigger.adapt.ear.ContinualLoop} follows a stream and learns a new domain when a
 *       window of rows says that there is one;
 *   <li>{@link org.outrigger.adapt.ear.EarReport}: confusion of domains, scores, memory,
 *       parameters.
 * </ul>
 */
@NullMarked
package org.outrigger.adapt.ear;

import org.jspecify.annotations.NullMarked;
